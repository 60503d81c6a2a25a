"""Why a server does not answer a request."""


class Refusal(ValueError):
    """A request that cannot be answered.

    Args:
        message: what was expected and what came.
        status: of HTTP.
    """

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status

"""Warnings that are no concern of the user, kept from them in any thread."""

import threading
import warnings


class Silence:
    """A context in which some warnings are off, for all threads, while any thread is within one.

    `warnings.catch_warnings` belongs to one thread: of two that enter and leave across each other,
    the later one puts back for good what the earlier one had set. Here the first to enter saves
    what was set, and the last to leave, whoever it is, puts it back.

    Args:
        message: regular expression that the beginning of the warning matches.
        module: regular expression that the beginning of the name of its module matches.

    Example:
        >>> silence = Silence(module=r"PIL\\.")
        >>> with silence:
        ...     picture = Image.open("damaged.jpg")
    """

    _lock = threading.Lock()
    _inside = 0
    _saved = None

    def __init__(self, message: str = "", module: str = ""):
        self._message, self._module = message, module

    def __enter__(self) -> None:
        with Silence._lock:
            if not Silence._inside:
                Silence._saved = warnings.catch_warnings()
                Silence._saved.__enter__()
            Silence._inside += 1
            # One that is in place already is not put there again.
            warnings.filterwarnings("ignore", self._message, Warning, self._module)

    def __exit__(self, *_) -> None:
        with Silence._lock:
            Silence._inside -= 1
            if not Silence._inside:
                Silence._saved.__exit__(None, None, None)

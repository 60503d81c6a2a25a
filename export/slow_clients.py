"""Close connections of clients that neither ask nor read, in Ray Serve's HTTP process.

That process runs uvicorn, whose `timeout_keep_alive` counts after an answer only, and any byte ends
it: a client that never sends a whole request head, or does not take its answer, would hold its
connection for ever.
"""

import asyncio

try:
    from uvicorn.config import HTTP_PROTOCOLS
    from uvicorn.protocols.http.auto import AutoHTTPProtocol
except ModuleNotFoundError as error:
    raise ImportError("The server needs uvicorn") from error


def use() -> None:
    """Let servers of this process take `ImpatientProtocol`, unless they choose another.

    Ray Serve calls it by its name, from `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`, before it
    makes its server.
    """
    HTTP_PROTOCOLS["auto"] = f"{__name__}:{ImpatientProtocol.__name__}"


class ImpatientProtocol(AutoHTTPProtocol):
    """Uvicorn's, which gives clients `timeout_keep_alive` seconds for each of these, too:

    - the head of a request, from the connection or from the first byte after an answer on;
    - to take anything of an answer that waits to be sent.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _reading_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A client is there."""
        super().connection_made(transport)
        self._head_timer = self._later(self._close_unasked)

    def data_received(self, data: bytes) -> None:
        """It sends."""
        super().data_received(data)
        if self._is_asked():
            self._head_timer = _stopped(self._head_timer)
        elif self._head_timer is None:
            self._head_timer = self._later(self._close_unasked)

    def pause_writing(self) -> None:
        """It reads more slowly than the answer is made."""
        super().pause_writing()
        self._reading_timer = _stopped(self._reading_timer)
        self._watch_reading()

    def resume_writing(self) -> None:
        """It has read nearly all."""
        super().resume_writing()
        self._reading_timer = _stopped(self._reading_timer)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._head_timer = _stopped(self._head_timer)
        self._reading_timer = _stopped(self._reading_timer)
        super().connection_lost(exc)

    def _is_asked(self):
        """Whether a request's head is there, and its answer not yet whole."""
        return self.cycle is not None and not self.cycle.response_complete

    def _later(self, function, *args):
        return self.loop.call_later(self.timeout_keep_alive, function, *args)

    def _close_unasked(self):
        # A web socket is another protocol's.
        if not self._is_asked() and self.transport.get_protocol() is self:
            self.transport.close()

    def _watch_reading(self):
        left = self.transport.get_write_buffer_size()
        self._reading_timer = self._later(self._close_unread, left)

    def _close_unread(self, before):
        if self.transport.get_write_buffer_size() < before:
            self._watch_reading()
        else:
            self.transport.abort()


def _stopped(timer):
    if timer is not None:
        timer.cancel()

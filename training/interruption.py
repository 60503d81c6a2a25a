"""SIGTERM and Ctrl-C: what a run is in the middle of is finished first."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# For the main thread to leave by itself, where nothing has to be finished.
_GRACE = 5.0


class Interruption:
    """While it is entered, the first signal ends a run in order, and the second one at once.

    Where there is nothing to finish the first signal leaves too: Ctrl-C as KeyboardInterrupt,
    SIGTERM as SystemExit(143), and if the main thread does not come back from native code, the
    process ends nevertheless. Signals that the process ignores stay ignored, and in a thread other
    than the main one nothing is changed.

    Attributes:
        number: of the signal that came, 0 before.
    """

    def __init__(self):
        self.number = 0
        self._finishing = self._left = self._told = False
        self._handled = []

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is not threading.main_thread():
            return self
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        self._handled = [n for n, handler in self._before.items() if handler != signal.SIG_IGN]
        reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        # Python's handlers wait until native code returns, such as a step being compiled; what is
        # written here is read at once.
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self.listen()
        threading.Thread(target=self._watch, args=(reader,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._left = True
        if not self._handled:
            return
        signal.set_wakeup_fd(self._wakeup)
        for number in self._handled:
            signal.signal(number, self._before[number] or signal.SIG_DFL)
        os.close(self._writer)

    def listen(self) -> None:
        """Take the signals; once more after code that may have taken them, as TensorFlow does."""
        for number in self._handled:
            signal.signal(number, self._handle)

    @contextlib.contextmanager
    def finishing(self) -> Iterator[None]:
        """What runs inside is finished first; it looks at `number` by itself."""
        self._finishing = True
        try:
            yield
        finally:
            self._finishing = False

    def leave(self, number: int | None = None) -> None:
        """Raise KeyboardInterrupt or SystemExit, as the signal says, if one came."""
        number = self.number if number is None else number
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        if number:
            raise SystemExit(128 + number)

    def _handle(self, number, frame):
        self.number = self.number or number
        if not self._finishing:
            self.leave()

    def _watch(self, reader):
        with open(reader, "rb", buffering=0) as pipe:
            while content := pipe.read(1):
                number = content[0]
                if number not in self._handled:
                    continue
                if self._told:
                    os._exit(128 + number)
                self.number, self._told = self.number or number, True
                if self._finishing:
                    name = signal.Signals(number).name
                    # Not `print`: the main thread may be in the middle of one.
                    line = f"{name}: finishing this step; once more leaves at once.\n"
                    os.write(2, line.encode())
                else:
                    threading.Timer(_GRACE, self._leave_if_stuck, (number,)).start()

    def _leave_if_stuck(self, number):
        if not (self._left or self._finishing):
            os._exit(128 + number)

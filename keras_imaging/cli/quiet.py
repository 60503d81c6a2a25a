"""Keep start-up noise off the terminal."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Import Keras inside, without TensorFlow's start-up lines on stderr.

    TensorFlow's C++ side writes some lines before it reads TF_CPP_MIN_LOG_LEVEL, to the file
    descriptor itself. A user who has set that variable to less than 3 wants to see lines. An
    exception passes.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") in ("0", "1", "2"):
        yield
        return
    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as sink:
            os.dup2(sink.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)

"""A stretch of the kernel's main thread that Ctrl-C does not cut in two.

A second interrupt often comes while the first one's cell is already ending. Raised inside our hook
it would lose how the cell ended, and whoever waits for that would wait for ever.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Generator


@contextlib.contextmanager
def uninterrupted() -> Generator[None]:
    """Interrupts that come meanwhile are dropped: what they were for has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.default_int_handler)

"""Ctrl-C during a search, garbage collections included."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

#: The function with which Hypothesis measures garbage collections.
_CALLBACK = "gc_callback"


@contextmanager
def kept_interrupts() -> Iterator[Callable[[], None]]:
    """Yields a function that raises a KeyboardInterrupt that was lost.

    Python handles Ctrl-C when it next runs Python code. During a garbage collection that is Hypothesis' callback, and
    no exception leaves a callback: Python would print it and continue the search. The function raises it at the next
    case.
    """
    pressed: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        if frame is None or frame.f_code.co_name != _CALLBACK:
            raise KeyboardInterrupt

    def check() -> None:
        if pressed:
            raise KeyboardInterrupt

    here = threading.current_thread() is threading.main_thread()
    ours = here and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, handle)
    try:
        yield check
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

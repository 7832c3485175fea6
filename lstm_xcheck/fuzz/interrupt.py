"""Ctrl-C during a search, at whatever moment it comes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

#: By a function of this name Hypothesis measures how long garbage collections take.
_CALLBACK = "gc_callback"


@contextmanager
def kept_interrupts() -> Iterator[Callable[[], None]]:
    """Give a function that raises KeyboardInterrupt when one was lost.

    Python answers Ctrl-C when it next runs Python code. During a garbage collection that is Hypothesis' callback, and
    no exception leaves a callback: Python would print it and go on with the search. It is kept for the next case.
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

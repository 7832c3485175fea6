"""Ctrl-C ends a search also when it comes during a garbage collection."""

from __future__ import annotations

import gc
import signal
from typing import Any

import pytest

from lstm_xcheck.fuzz.interrupt import kept_interrupts


def gc_callback(phase: str, info: dict[str, Any]) -> None:
    """Named like that of Hypothesis; Ctrl-C is pressed while it runs."""
    if phase == "stop":
        signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def _python_answers() -> Any:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_during_a_collection_is_kept() -> None:
    with kept_interrupts() as check:
        check()
        gc.callbacks.append(gc_callback)
        try:
            gc.collect()  # without the handler: PytestUnraisableExceptionWarning, and the interrupt is lost
        finally:
            gc.callbacks.remove(gc_callback)
        with pytest.raises(KeyboardInterrupt):
            check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_any_other_interrupt_comes_at_once() -> None:
    with kept_interrupts(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_foreign_handler_stays() -> None:
    def mine(number: int, frame: Any) -> None:
        pass

    signal.signal(signal.SIGINT, mine)
    with kept_interrupts():
        assert signal.getsignal(signal.SIGINT) is mine

"""The child process: one adapter, many cases, one answer for each."""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import threading
import time
from typing import BinaryIO

from ..adapters.protocol import Session
from ..adapters.registry import load_adapter
from ..errors import Unsupported, UserError
from .codec import case_from_frame, result_to_frame
from .format_exception import format_exception
from .frames import Frame, encode, read

#: The driver is trusted: this only stops a broken stream from asking for all memory.
_MAX_REQUEST = 2**34


def main(arguments: list[str]) -> None:
    """Serve until the driver closes the pipe: `NAME TARGET [FOLDER...]`."""
    requests, answers = _take_streams()
    _end_with_driver(requests)
    name, target, *folders = arguments
    try:
        session = Session(load_adapter(target, name, tuple(folders)))
        gc.freeze()  # a framework's million objects stay; to look through them takes a twentieth of a compilation
        ready = {"environment": session.environment, "layout": session.adapter.layout}
        answers.write(encode(Frame("ready", ready, {})))
    except UserError as error:
        answers.write(encode(Frame("refused", {"reason": str(error)}, {})))
        return
    except Exception as error:  # whatever a framework raises while loading is reported, not lost
        answers.write(encode(Frame("error", {"reason": format_exception(error)}, {})))
        return
    while (request := read(requests, _MAX_REQUEST)) is not None:
        answers.write(_answer(session, request))


def _take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes for ourselves; whatever else prints to stdout goes to stderr and does no harm."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for the life of the process
    return requests, _Whole(answers)  # type: ignore[return-value]


def _end_with_driver(requests: BinaryIO) -> None:
    """When the driver is gone, however it ended, nobody would end a framework that hangs, or what that started."""
    if not hasattr(select, "poll") or os.getpgid(0) != os.getpid():
        return
    poll = select.poll()
    poll.register(requests, 0)  # reports only that the other end was closed

    def watch() -> None:
        # A file that this process itself has closed, ending by itself, says nothing of the driver.
        if not any(flags & select.POLLNVAL for _, flags in poll.poll()):
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


class _Whole:
    """Writes every byte: an unbuffered file may write part of a large frame."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw, self._process = raw, os.getpid()

    def write(self, data: bytes) -> None:
        """Write all of it, once: a process that the framework forked and let come back here must not answer, too."""
        if os.getpid() != self._process:
            os._exit(0)
        view = memoryview(data)
        while view:
            view = view[self._raw.write(view) :]


def _answer(session: Session, request: Frame) -> bytes:
    try:
        case = case_from_frame(request)
        start = time.perf_counter()
        result = session.execute(case)
        return encode(result_to_frame(result, time.perf_counter() - start))
    except Unsupported as reason:
        return encode(Frame("unsupported", {"reason": str(reason)}, {}))
    except Exception as error:  # the driver makes a `crashed` row of it; the worker lives on
        return encode(Frame("error", {"reason": format_exception(error)}, {}))

"""The worker process: runs cases with one adapter."""

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
from ..errors import Unsupported, UserError, WorkerCrashed
from .codec import case_from_frame, result_to_frame
from .format_exception import format_exception
from .frames import Frame, encode_frame, read_frame

#: The largest request, bytes. The driver is trusted; the limit stops a broken stream from asking for all memory.
_MAX_REQUEST_SIZE = 2**34


def main(without: list[str]) -> None:
    """Serve until the driver closes the pipe; importing a module of `without` raises ImportError."""
    requests, answers = _claim_streams()
    _exit_with_driver(requests)
    sys.modules.update(dict.fromkeys(without))  # type: ignore[arg-type]
    adapters = Adapters()
    while (request := read_frame(requests, _MAX_REQUEST_SIZE)) is not None:
        answers.write(adapters.answer(request))


class Adapters:
    """The adapters of a process, loaded when they are first asked for."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._chosen: Session | None = None

    def answer(self, request: Frame) -> bytes:
        """The frame that answers; "load" chooses the adapter that is asked from then on."""
        if request.kind == "load":
            return self._load(request)
        assert self._chosen is not None
        return _answer(self._chosen, request)

    def _load(self, request: Frame) -> bytes:
        name, self._chosen = request.data["name"], None
        try:
            if name not in self._sessions:
                adapter = load_adapter(request.data["target"], name, tuple(request.data["path"]))
                self._sessions[name] = Session(adapter)
                gc.freeze()  # collecting a framework's million objects takes a twentieth of a compilation
            self._chosen = session = self._sessions[name]
            ready = {"environment": session.environment, "layout": session.adapter.layout}
            return encode_frame(Frame("ready", ready, {}))
        except UserError as error:
            return encode_frame(Frame("refused", {"reason": str(error)}, {}))
        except Exception as error:  # a framework may raise anything while it loads
            return encode_frame(Frame("error", {"reason": format_exception(error)}, {}))


def _claim_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes for the protocol; what is printed to stdout goes to stderr."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for the life of the process
    return requests, _CompleteWriter(answers)  # type: ignore[return-value]


def _exit_with_driver(requests: BinaryIO) -> None:
    """End this process group when the driver ends, even while a framework hangs."""
    if not hasattr(select, "poll") or os.getpgid(0) != os.getpid():
        return
    poll = select.poll()
    poll.register(requests, 0)  # reports only that the other end was closed

    def watch() -> None:
        # POLLNVAL: this process closed the pipe itself while ending, so the driver may be alive.
        if not any(flags & select.POLLNVAL for _, flags in poll.poll()):
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


class _CompleteWriter:
    """Writes all bytes; an unbuffered file may write a part of a large frame."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw, self._process = raw, os.getpid()

    def write(self, data: bytes) -> None:
        """Write all data; a fork of this process ends instead."""
        if os.getpid() != self._process:
            os._exit(0)
        view = memoryview(data)
        while view:
            view = view[self._raw.write(view) :]


def _answer(session: Session, request: Frame) -> bytes:
    try:
        case = case_from_frame(request)
        if request.kind == "ask":
            reason = session.refusal(case)
            note = "" if reason else session.adapter.computes_in(case)[1]
            return encode_frame(Frame("told", {"reason": reason, "note": note}, {}))
        start = time.perf_counter()
        result = session.execute(case)
        return encode_frame(result_to_frame(result, time.perf_counter() - start))
    except Unsupported as reason:
        return encode_frame(Frame("unsupported", {"reason": str(reason)}, {}))
    except WorkerCrashed as crash:  # of a program that the adapter runs
        return encode_frame(Frame("error", {"reason": str(crash)}, {}))
    except Exception as error:  # the driver reports a `crashed` row; the worker goes on
        return encode_frame(Frame("error", {"reason": format_exception(error)}, {}))

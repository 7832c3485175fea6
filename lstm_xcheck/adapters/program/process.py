"""A program that answers over its stdin and stdout.

It is in the process group of the worker that started it, and the driver kills that group at the deadline. So nothing
here waits by the clock, and no program, grandchild or full pipe outlives a case that took too long.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import IO, BinaryIO

from ...errors import Unsupported, WorkerCrashed
from ...layouts import layout_named
from . import message

#: Bytes that a pipe takes at once where nothing is in it, as far as systems agree.
_PIPE = 16384
#: Seconds between looks at whether a silent program lives.
_POLL = 0.1
#: Seconds that a program may take to end after it closed its stdout.
_ENDING = 0.5
_SELECTS = os.name == "posix"


class Program:
    """A program, started when it is first asked and again after it has ended.

    Attributes:
        layout: the row of the layouts in which it wants its weights; "" before its first answer.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command, self.layout = list(command), ""
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._tail: deque[str] = deque(maxlen=6)
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start it where it does not run, and ask for its layout.

        Raises:
            WorkerCrashed: when it cannot be started, or answers what is no answer.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self._close()
        self._tail.clear()
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        try:
            self._process = subprocess.Popen(self.command, bufsize=0, **pipes)  # type: ignore[call-overload]
        except OSError as error:
            raise WorkerCrashed(f"{self.command[0]} cannot be started: {error.strerror}") from error
        assert self._process is not None
        self._reader = threading.Thread(target=self._keep_stderr, args=(self._process.stderr,), daemon=True)
        self._reader.start()
        words = bytes(self._exchange(message.HELLO, 4, [], message.MAX_TEXT)).decode(errors="replace").split()
        if len(words) != 2 or words[0] != "layout":
            raise self._failed(f"says of itself {' '.join(words)[:80]!r}, but should say layout and the name of a row")
        try:
            self.layout = layout_named(words[1]).name
        except ValueError as error:
            raise self._failed(f"wants its weights in a layout that is not known: {error}") from error

    def ask(self, width: int, parts: list[memoryview], most: int) -> bytearray:
        """The body of its answer to a case, at most so many bytes.

        A program that ended properly since its last answer is started again.

        Raises:
            Unsupported: with the reason that it gives.
            WorkerCrashed: when it ended, or answered what is no answer.
        """
        try:
            return self._exchange(message.RUN, width, parts, most)
        except _Ended:
            self.start()
            return self._exchange(message.RUN, width, parts, most)

    def _exchange(self, kind: int, width: int, parts: list[memoryview], most: int) -> bytearray:
        self._refuse_more("before it was asked")
        self._number += 1
        self._send(message.request(kind, self._number, width, parts))
        header = self._read(message.HEADER.size)
        magic, version, status, answered, number, size, canary = message.HEADER.unpack(header)
        if magic != message.ANSWER:
            raise self._failed(
                f"answers {bytes(header)!r}, but an answer should begin with {message.ANSWER!r}; what it prints should "
                "go to stderr"
            )
        for what, found, expected in (
            ("is of version", version, message.VERSION),
            ("has numbers of so many bytes:", answered, width),
            ("answers request", number, self._number),
            ("writes 1.0 as", canary, message.one(width)),
        ):
            if found != expected:
                raise self._failed(f"the answer {what} {found!r}, but should say {expected!r}")
        limit = most if status == message.ANSWERED else message.MAX_TEXT
        if status > message.FAILED or size > limit:
            raise self._failed(f"the answer has status {status} and {size:,} bytes, but may have {limit:,} at most")
        body = self._read(size)
        self._refuse_more("after its answer")
        if status == message.UNSUPPORTED:
            raise Unsupported(body.decode(errors="replace"))
        if status == message.FAILED:
            raise WorkerCrashed(f"failed: {body.decode(errors='replace')}")
        return body

    def _send(self, parts: list[memoryview]) -> None:
        """Write a request; a large one, which may fill the pipe, from a thread."""
        assert self._process is not None
        stream = self._process.stdin
        if sum(part.nbytes for part in parts) <= _PIPE:
            _write(stream, [memoryview(b"".join(parts))])
        else:
            threading.Thread(target=_write, args=(stream, parts), daemon=True).start()

    def _read(self, size: int) -> bytearray:
        """Exactly so many bytes of its stdout; memory grows with what comes."""
        assert self._process is not None and self._process.stdout is not None
        got = bytearray()
        while len(got) < size:
            self._wait()
            part = os.read(self._process.stdout.fileno(), min(size - len(got), 2**20))
            if not part:
                raise self._failed("", got=len(got), wanted=size)
            got += part
        return got

    def _wait(self) -> None:
        """Wait for output; a program that has ended gives no more."""
        assert self._process is not None
        while _SELECTS and not self._readable(_POLL):
            if self._process.poll() is not None and not self._readable(0.0):
                raise self._failed("left its stdout open to a process that it had started and")

    def _readable(self, seconds: float) -> bool:
        assert self._process is not None and self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def _refuse_more(self, when: str) -> None:
        """Refuse bytes that nobody asked for."""
        assert self._process is not None and self._process.stdout is not None
        if _SELECTS and self._readable(0.0):
            more = os.read(self._process.stdout.fileno(), 64)
            if more:
                raise self._failed(f"wrote {more!r} to its stdout {when}")

    def _failed(self, what: str, got: int = 0, wanted: int = 0) -> WorkerCrashed:
        """The error of a program, which is killed.

        It is `_Ended` where it ended properly without an answer.
        """
        assert self._process is not None
        code = self._close(_ENDING if wanted else _POLL)
        if wanted:
            ending = "closed its stdout" if code is None else _describe(code)
            what = f"{ending} after {got} of {wanted} bytes" if got else f"{ending} without an answer"
        elif code is not None:
            what = f"{what} {_describe(code)}" if what.endswith(" and") else f"{what}; it {_describe(code)}"
        lines = " | ".join(line for line in self._tail if line.strip())
        kind = _Ended if code == 0 and wanted and not got and self.layout else WorkerCrashed
        return kind(f"the program {what}; last lines of stderr: {lines}" if lines else f"the program {what}")

    def _close(self, patience: float = _POLL) -> int | None:
        """End it; returns the code with which it had ended by itself, or None."""
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            code: int | None = process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            code = None
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join(timeout=_POLL)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        return code

    def _keep_stderr(self, stream: BinaryIO) -> None:
        """Keep its last lines, and pass all on."""
        for line in iter(lambda: stream.readline(4096), b""):
            self._tail.append(line.decode(errors="replace").rstrip()[:200])
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()


def _describe(code: int) -> str:
    return f"ended with code {code}" if code >= 0 else f"was ended by signal {-code} ({signal.Signals(-code).name})"


class _Ended(WorkerCrashed):
    """Raised when a program had ended, without an error, before it answered."""


def _write(stream: IO[bytes] | None, parts: list[memoryview]) -> None:
    """Write all parts, unless the program has ended, which reading finds."""
    assert stream is not None
    try:
        for part in parts:
            sent = 0
            while sent < part.nbytes:
                sent += stream.write(part[sent:])
    except (BrokenPipeError, ValueError):
        return

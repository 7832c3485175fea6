"""The driver's side of a worker: start it, talk to it, bound its time, and say how it died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any, BinaryIO

from ..adapters import Entry
from ..errors import Unsupported, UserError, WorkerCrashed
from ..model import Case, Result
from .codec import case_to_frame, result_from_frame
from .frames import Frame, ProtocolError, encode
from .pipe import Line

#: Importing a framework from a cold disk can take this long, whatever the time limit of a case is.
START_SECONDS = 180.0
#: An answer may be this much larger than its question: states, outputs of every layer, weights read back.
_ANSWER_FACTOR, _ANSWER_SLACK = 64, 2**26
_STDERR_LINES = 12


class Worker:
    """One adapter in a process of its own, started when first needed and restarted after a crash.

    Args:
        entry: which adapter.
        python: the interpreter; it needs NumPy and the framework, not this package.
        timeout: seconds for one case.
    """

    def __init__(self, entry: Entry, python: str = sys.executable, timeout: float = 120.0) -> None:
        self.entry, self.python, self.timeout = entry, python, limit_of(timeout)
        self.environment: dict[str, Any] = {}
        self.layout = ""
        self.seconds = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Line | None = None
        self._lock = threading.Lock()
        self._stopped = False
        self._loaded = False
        self._unloadable = ""
        self._tail: deque[str] = deque(maxlen=_STDERR_LINES)
        self._reader: threading.Thread | None = None

    def run(self, case: Case) -> Result:
        """Run a case; a worker that dies is restarted and the case tried once more.

        Raises:
            Unsupported: with the framework's reason.
            WorkerCrashed: when it died twice, hung, raised, or answered nonsense.
        """
        return self.ask(encode(case_to_frame(case)))

    def ask(self, request: bytes) -> Result:
        """As `run`, for a case that has been encoded before."""
        answer = self._ask_twice(request)
        try:
            return self._read_answer(answer)
        except (KeyError, TypeError, ValueError) as error:  # a frame, but not one of ours
            self.close()
            raise WorkerCrashed(f"answered what is no result: {error!r}") from error

    @property
    def running(self) -> bool:
        """Whether a process has been started and has not been found dead."""
        return self._process is not None

    def start(self) -> None:
        """Start the process and wait until its framework is loaded.

        Raises:
            WorkerCrashed: when it does not come up; what failed to load is not tried again for every case.
        """
        if self._unloadable:
            raise WorkerCrashed(self._unloadable)
        self._launch()
        try:
            ready = self._exchange(b"", max(START_SECONDS, self.timeout), 2**20)
            if ready.kind != "ready":
                self.close()
                raise WorkerCrashed(f"cannot be loaded: {ready.data.get('reason', ready.kind)}")
        except _Died:
            raise
        except WorkerCrashed as crash:
            self._unloadable = str(crash)
            raise
        self.environment, self.layout = ready.data["environment"], ready.data["layout"]
        self._loaded = True

    def _launch(self) -> None:
        command = [self.python, str(Path(__file__).with_name("bootstrap.py")), self.entry.name, self.entry.target]
        with self._lock:
            if self._stopped:
                raise WorkerCrashed("was stopped")
            try:
                self._process = subprocess.Popen(
                    [*command, *self.entry.path],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env={**os.environ, **self.entry.variables},
                    start_new_session=True,
                )
            except OSError as error:
                raise WorkerCrashed(f"{self.python} cannot be started: {error.strerror}") from error
            self._line = Line(self._process)
        assert self._process.stderr is not None
        self._tail.clear()
        self._reader = threading.Thread(target=_drain, args=(self._process.stderr, self._tail), daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Kill the process from another thread and let no other start; the thread that uses it then closes it."""
        with self._lock:
            self._stopped = True
            process, line = self._process, self._line
        if process is not None and line is not None:
            _kill(process)
            line.hang_up()

    def close(self) -> None:
        """Kill the process group, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        _kill(process)
        process.wait()
        if self._reader is not None:
            self._reader.join(timeout=2.0)  # a process that outlived the worker may keep stderr open
        if self._line is not None:
            self._line.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask_twice(self, request: bytes) -> Frame:
        """Ask, and once more where the process ended by itself."""
        try:
            return self._ask(request)
        except _Died:
            try:
                return self._ask(request)
            except _Died as second:
                reason = f"{second} (twice)"
                self._unloadable = "" if self._loaded else reason
                raise WorkerCrashed(reason) from second

    def _read_answer(self, answer: Frame) -> Result:
        if answer.kind == "unsupported":
            raise Unsupported(str(answer.data["reason"]))
        if answer.kind == "error":
            raise WorkerCrashed(str(answer.data["reason"]))
        if answer.kind != "result":
            raise ValueError(f"a frame of kind {answer.kind!r}")
        self.seconds = float(answer.data["seconds"])
        return result_from_frame(answer)

    def _ask(self, request: bytes) -> Frame:
        if self._process is None:
            self.start()
        return self._exchange(request, self.timeout, _ANSWER_FACTOR * len(request) + _ANSWER_SLACK)

    def _exchange(self, request: bytes, seconds: float, limit: int) -> Frame:
        """Send and receive one frame; when time is up the process group is killed."""
        process, line = self._process, self._line
        assert process is not None and line is not None
        try:
            answer = line.exchange(request, seconds, limit)
        except ProtocolError as error:
            self.close()
            raise WorkerCrashed(f"broke the protocol: {error}{self._stderr()}") from error
        except TimeoutError as error:
            raise self._timed_out(seconds) from error
        except OSError:
            answer = None
        if answer is None:
            raise self._died(process)
        return answer

    def _timed_out(self, seconds: float) -> WorkerCrashed:
        self.close()
        return WorkerCrashed(f"gave no answer within {seconds:g} s and was killed{self._stderr()}")

    def _died(self, process: subprocess.Popen[bytes]) -> _Died:
        try:
            code = process.wait(timeout=10.0)
        except subprocess.TimeoutExpired:
            self.close()
            return _Died(f"closed its output without ending{self._stderr()}")
        self.close()
        return _Died(f"{_how_it_ended(code)}{self._stderr()}")

    def _stderr(self) -> str:
        lines = " | ".join(line for line in self._tail if line.strip())
        return f"; last lines of stderr: {lines}" if lines else ""


def limit_of(timeout: float) -> float:
    """A time limit that is one.

    Raises:
        UserError: for zero, less, NaN and what is no number.
    """
    if not isinstance(timeout, (int, float)) or not timeout > 0:
        raise UserError(f"the timeout is {timeout!r}, but should be seconds, more than 0")
    return timeout


class _Died(WorkerCrashed):
    """The process ended by itself: worth one more try."""


def _drain(stream: BinaryIO, tail: deque[str]) -> None:
    """Keep the last lines of stderr; long lines are cut, so that no amount of noise uses memory."""
    for chunk in iter(lambda: stream.readline(4096), b""):
        tail.append(chunk.decode(errors="replace").rstrip()[:400])
    stream.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the worker and everything it started."""
    if process.poll() is None or os.name == "posix":
        try:
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        except (ProcessLookupError, PermissionError):
            return  # the whole group has ended already; macOS says so by refusing


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was ended by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"was ended by signal {-code}"

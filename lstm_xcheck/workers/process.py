"""A worker as the driver sees it: a subprocess."""

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
from .codec import encode_case, result_from_frame
from .frames import Frame, ProtocolError
from .pipe import Pipe

#: Time limit for loading a framework, which takes long from a cold disk; a longer limit for cases wins.
START_SECONDS = 180.0
#: The largest answer: this factor times the request, plus the slack in bytes. It holds outputs of every layer, states
#: and the weights read back.
_ANSWER_FACTOR, _ANSWER_SLACK = 64, 2**26
_STDERR_LINES = 12


class Worker:
    """An adapter in a process of its own.

    The process starts when it is first needed, and again after a crash. `stop` may be called from any thread, all else
    from one at a time. `python` needs NumPy and the framework, not this package. `environment` and `layout` are known
    once it has loaded; `seconds` is the time in the backend of the last case.
    """

    def __init__(self, entry: Entry, python: str = sys.executable, timeout: float = 120.0) -> None:
        self.entry, self.python, self.timeout = entry, python, checked_timeout(timeout)
        self.environment: dict[str, Any] = {}
        self.layout = ""
        self.seconds = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Pipe | None = None
        self._lock = threading.Lock()
        self._stopped = False
        self._loaded = False
        self._load_error = ""
        self._stderr_tail: deque[str] = deque(maxlen=_STDERR_LINES)
        self._stderr_reader: threading.Thread | None = None

    def run(self, case: Case) -> Result:
        """Run a case; restart a worker that dies, and try once more.

        Raises:
            Unsupported: with the framework's reason.
            WorkerCrashed: when it died twice, hung, raised, or answered nonsense.
        """
        return self.run_encoded(encode_case(case))

    def run_encoded(self, request: bytes) -> Result:
        """As `run`, for a case that is already encoded."""
        answer = self._request_twice(request)
        try:
            return self._read_answer(answer)
        except (KeyError, TypeError, ValueError) as error:  # a frame that is no answer
            self.close()
            raise WorkerCrashed(f"answered what is no result: {error!r}") from error

    @property
    def running(self) -> bool:
        """Whether a process was started and is not known to be dead."""
        return self._process is not None

    def start(self) -> None:
        """Start the process and wait until its framework is loaded.

        Raises:
            WorkerCrashed: when it does not load; a later call raises the same without another try.
        """
        if self._load_error:
            raise WorkerCrashed(self._load_error)
        self._launch()
        try:
            ready = self._exchange(b"", max(START_SECONDS, self.timeout), 2**20)
            if ready.kind != "ready":
                self.close()
                raise WorkerCrashed(f"cannot be loaded: {ready.data.get('reason', ready.kind)}")
        except _ProcessDied:
            raise
        except WorkerCrashed as crash:
            self._load_error = str(crash)
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
            self._pipe = Pipe(self._process)
        assert self._process.stderr is not None
        self._stderr_tail.clear()
        self._stderr_reader = threading.Thread(
            target=_keep_last_lines, args=(self._process.stderr, self._stderr_tail), daemon=True
        )
        self._stderr_reader.start()

    def stop(self) -> None:
        """Kill the process and let no other start; its user then closes it."""
        with self._lock:
            self._stopped = True
            process, pipe = self._process, self._pipe
        if process is not None and pipe is not None:
            _kill(process)
            pipe.cancel()

    def close(self) -> None:
        """Kill the process group, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        _kill(process)
        process.wait()
        if self._stderr_reader is not None:
            self._stderr_reader.join(timeout=2.0)  # a process that outlives the worker may keep stderr open
        if self._pipe is not None:
            self._pipe.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _request_twice(self, request: bytes) -> Frame:
        """Send a request, and once more when the process died."""
        try:
            return self._request(request)
        except _ProcessDied:
            try:
                return self._request(request)
            except _ProcessDied as second:
                reason = f"{second} (twice)"
                self._load_error = "" if self._loaded else reason
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

    def _request(self, request: bytes) -> Frame:
        if self._process is None:
            self.start()
        return self._exchange(request, self.timeout, _ANSWER_FACTOR * len(request) + _ANSWER_SLACK)

    def _exchange(self, request: bytes, seconds: float, limit: int) -> Frame:
        """Send bytes and receive a frame; kills the process group at the time limit."""
        process, pipe = self._process, self._pipe
        assert process is not None and pipe is not None
        try:
            answer = pipe.exchange(request, seconds, limit)
        except ProtocolError as error:
            self.close()
            raise WorkerCrashed(f"broke the protocol: {error}{self._stderr_text()}") from error
        except TimeoutError as error:
            self.close()
            reason = f"gave no answer within {seconds:g} s and was killed{self._stderr_text()}"
            raise WorkerCrashed(reason) from error
        except OSError:
            answer = None
        if answer is None:
            raise self._died(process)
        return answer

    def _died(self, process: subprocess.Popen[bytes]) -> _ProcessDied:
        try:
            code = process.wait(timeout=10.0)
        except subprocess.TimeoutExpired:
            self.close()
            return _ProcessDied(f"closed its output without ending{self._stderr_text()}")
        self.close()
        return _ProcessDied(f"{_exit_description(code)}{self._stderr_text()}")

    def _stderr_text(self) -> str:
        lines = " | ".join(line for line in self._stderr_tail if line.strip())
        return f"; last lines of stderr: {lines}" if lines else ""


def checked_timeout(timeout: float) -> float:
    """The time limit, if it is one."""
    if not isinstance(timeout, (int, float)) or not timeout > 0:
        raise UserError(f"the timeout is {timeout!r}, but should be seconds, more than 0")
    return timeout


class _ProcessDied(WorkerCrashed):
    """Raised when the process ended by itself."""


def _keep_last_lines(stream: BinaryIO, tail: deque[str]) -> None:
    """Keep the last lines of stderr, in bounded memory."""
    for chunk in iter(lambda: stream.readline(4096), b""):
        tail.append(chunk.decode(errors="replace").rstrip()[:400])
    stream.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the worker and its process group."""
    if process.poll() is None or os.name == "posix":
        try:
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        except (ProcessLookupError, PermissionError):
            return  # the group has ended already; macOS then refuses


def _exit_description(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was ended by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"was ended by signal {-code}"

"""A subprocess that serves adapters, as its driver sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from ..errors import WorkerCrashed
from .frames import Frame, ProtocolError
from .pipe import Pipe

_STDERR_LINES = 12


class ProcessDied(WorkerCrashed):
    """Raised when the process ended by itself."""


class Process:
    """A Python that serves adapters.

    It starts when it is first needed, and again after a crash. `stop` may be called from any thread, all else from one
    at a time.

    Attributes:
        variables: environment variables, added to those of this process.
        without: modules that must not be imported there.
        loaded: name of the adapter that runs the next case; "" for none.
    """

    def __init__(
        self, python: str = sys.executable, variables: Mapping[str, str] | None = None, without: Sequence[str] = ()
    ) -> None:
        self.python, self.variables, self.without = python, dict(variables or {}), tuple(without)
        self.loaded = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Pipe | None = None
        self._lock = threading.Lock()
        self._stopped = False
        self._stderr_tail: deque[str] = deque(maxlen=_STDERR_LINES)
        self._stderr_reader: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether a process was started and is not known to be dead."""
        return self._process is not None

    def launch(self) -> None:
        """Start the process, unless it runs."""
        if self._process is not None:
            return
        with self._lock:
            if self._stopped:
                raise WorkerCrashed("was stopped")
            try:
                self._process = subprocess.Popen(
                    [self.python, str(Path(__file__).with_name("bootstrap.py")), *self.without],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env={**os.environ, **self.variables},
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

    def exchange(self, request: bytes, seconds: float, limit: int) -> Frame:
        """Send bytes and receive a frame; kills the process group at the time limit.

        Raises:
            ProcessDied: when the process ended instead.
            WorkerCrashed: when it hung, or answered what is no frame.
        """
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
        self.loaded = ""
        process, self._process = self._process, None
        if process is None:
            return
        _kill(process)
        process.wait()
        if self._stderr_reader is not None:
            self._stderr_reader.join(timeout=2.0)  # a process that outlives the worker may keep stderr open
        if self._pipe is not None:
            self._pipe.close()

    def _died(self, process: subprocess.Popen[bytes]) -> ProcessDied:
        try:
            code = process.wait(timeout=10.0)
        except subprocess.TimeoutExpired:
            self.close()
            return ProcessDied(f"closed its output without ending{self._stderr_text()}")
        self.close()
        return ProcessDied(f"{_exit_description(code)}{self._stderr_text()}")

    def _stderr_text(self) -> str:
        lines = " | ".join(line for line in self._stderr_tail if line.strip())
        return f"; last lines of stderr: {lines}" if lines else ""


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

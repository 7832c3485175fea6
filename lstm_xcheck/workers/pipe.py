"""The two pipes to a worker's process: one question, one answer, within a time that holds whatever becomes of it.

A process that a worker started may outlive it and keep the pipes open, so that neither reading nor writing ever ends.
Both are therefore done by a thread that can be left behind.
"""

from __future__ import annotations

import queue
import subprocess
import threading
import time

from .frames import Frame, read

#: How often it is seen whether the process still lives, seconds.
_LOOK_SECONDS = 1.0


class Line:
    """The pipes of one process; to be used by one thread at a time, `hang_up` and `close` by any."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._requests: queue.SimpleQueue[tuple[bytes, int] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Frame | Exception | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def exchange(self, request: bytes, seconds: float, limit: int) -> Frame | None:
        """Send a request, or nothing, and receive one frame of at most `limit` bytes; None when the process ended.

        Raises:
            TimeoutError: when time is up; the line is of no use then.
            ProtocolError: when what came is no frame.
            OSError: when the pipe is broken.
        """
        self._requests.put((request, limit))
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            try:
                answer = self._answers.get(timeout=min(max(left, 0.0), _LOOK_SECONDS))
            except queue.Empty:
                if left <= _LOOK_SECONDS:
                    raise TimeoutError from None
                if self._process.poll() is not None:
                    self.hang_up()  # what it said last is read first
                continue
            if isinstance(answer, Exception):
                raise answer
            return answer

    def hang_up(self) -> None:
        """Let whoever waits for an answer wait no longer: the process has ended."""
        self._answers.put(None)

    def close(self) -> None:
        """Close the pipes as soon as nothing is read or written: at once, where no process holds their other ends."""
        self._requests.put(None)
        self._thread.join(timeout=_LOOK_SECONDS)

    def _serve(self) -> None:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        while (job := self._requests.get()) is not None:
            request, limit = job
            try:
                if request:
                    stdin.write(request)
                    stdin.flush()
                self._answers.put(read(stdout, limit))  # type: ignore[arg-type]
            except Exception as error:  # raised again where the answer is waited for
                self._answers.put(error)
        for stream in (stdin, stdout):
            try:
                stream.close()
            except BrokenPipeError:
                continue  # what was not sent no longer matters: the reader is dead

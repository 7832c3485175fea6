"""Request and response channel over a worker's stdin and stdout, with a hard timeout.

A process that a worker started may outlive it and hold the pipes open, and then a read or write never ends. A thread
that can be abandoned does both.
"""

from __future__ import annotations

import queue
import subprocess
import threading
import time

from .frames import Frame, read_frame

#: Seconds between looks at whether the process lives.
_POLL_SECONDS = 1.0


class Pipe:
    """The pipes of one process.

    `cancel` and `close` may be called from any thread, `exchange` from one at a time.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._requests: queue.SimpleQueue[tuple[bytes, int] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Frame | Exception | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def exchange(self, request: bytes, seconds: float, limit: int) -> Frame | None:
        """Send a request and receive one frame; None when the process ended.

        The request may be empty; the frame has at most `limit` bytes. After a TimeoutError the pipe is unusable. Raises
        ProtocolError for what is no frame, OSError when the pipe is broken.
        """
        self._requests.put((request, limit))
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            try:
                answer = self._answers.get(timeout=min(max(left, 0.0), _POLL_SECONDS))
            except queue.Empty:
                if left <= _POLL_SECONDS:
                    raise TimeoutError from None
                if self._process.poll() is not None:
                    self.cancel()  # answers that came before are read first
                continue
            if isinstance(answer, Exception):
                raise answer
            return answer

    def cancel(self) -> None:
        """End the wait for an answer: the process has ended."""
        self._answers.put(None)

    def close(self) -> None:
        """Close the pipes once the thread is idle."""
        self._requests.put(None)
        self._thread.join(timeout=_POLL_SECONDS)

    def _serve(self) -> None:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        while (job := self._requests.get()) is not None:
            request, limit = job
            try:
                if request:
                    stdin.write(request)
                    stdin.flush()
                self._answers.put(read_frame(stdout, limit))  # type: ignore[arg-type]
            except Exception as error:  # raised again in `exchange`
                self._answers.put(error)
        for stream in (stdin, stdout):
            try:
                stream.close()
            except BrokenPipeError:
                continue  # unsent bytes no longer matter: the reader is dead

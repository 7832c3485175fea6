"""A worker as the driver sees it: one adapter in a subprocess."""

from __future__ import annotations

import sys
from typing import Any

from ..adapters import Entry
from ..errors import Unsupported, UserError, WorkerCrashed
from ..model import Case, Result
from .codec import case_to_frame, encode_case, result_from_frame
from .frames import Frame, encode_frame
from .launch import Process, ProcessDied

#: Time limit for loading a framework, which takes long from a cold disk; a longer limit for cases wins.
START_SECONDS = 180.0
#: The largest answer: this factor times the request, plus the slack in bytes. It holds outputs of every layer, states
#: and the weights read back.
_ANSWER_FACTOR, _ANSWER_SLACK = 64, 2**26


class Worker:
    """An adapter in a process, which adapters of its family may share.

    The process starts when it is first needed, and again after a crash. `stop` may be called from any thread, all else
    from one at a time. `python` needs NumPy and the framework, not this package. `environment` and `layout` are known
    once it has loaded; `seconds` is the time in the backend of the last case.
    """

    def __init__(
        self, entry: Entry, python: str = sys.executable, timeout: float = 120.0, process: Process | None = None
    ) -> None:
        self.entry, self.timeout = entry, checked_timeout(timeout)
        self.process = process or Process(python, entry.variables, entry.without)
        self.environment: dict[str, Any] = {}
        self.layout = ""
        self.seconds = 0.0
        self._loaded = False
        self._load_error = ""

    def run(self, case: Case) -> Result:
        """Run a case; restart a worker that dies, and try once more.

        Raises:
            Unsupported: with the framework's reason.
            WorkerCrashed: when it died twice, hung, raised, or answered nonsense.
        """
        return self.run_encoded(encode_case(case))

    def ask(self, case: Case) -> tuple[str, str]:
        """Why the adapter refuses a case, or "", and its note; nothing is run.

        Raises:
            WorkerCrashed: as `run`.
        """
        answer = self._request_twice(encode_frame(case_to_frame(case)._replace(kind="ask")))
        if answer.kind != "told":
            raise WorkerCrashed(str(answer.data.get("reason", answer.kind)))
        return str(answer.data["reason"] or ""), str(answer.data["note"])

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
        """Whether the adapter is loaded and its process not known to be dead."""
        return self.process.running and self.process.loaded == self.entry.name

    def start(self) -> None:
        """Start the process and wait until the framework is loaded.

        Raises:
            WorkerCrashed: when it does not load; a later call raises the same without another try.
        """
        if self._load_error:
            raise WorkerCrashed(self._load_error)
        self.process.launch()
        try:
            target = {"name": self.entry.name, "target": self.entry.target, "path": self.entry.path}
            request = encode_frame(Frame("load", target, {}))
            ready = self.process.exchange(request, max(START_SECONDS, self.timeout), 2**20)
            if ready.kind != "ready":
                self.close()
                raise WorkerCrashed(f"cannot be loaded: {ready.data.get('reason', ready.kind)}")
        except ProcessDied:
            raise
        except WorkerCrashed as crash:
            self._load_error = str(crash)
            raise
        self.environment, self.layout = ready.data["environment"], ready.data["layout"]
        self.process.loaded = self.entry.name
        self._loaded = True

    def stop(self) -> None:
        """Kill the process and let no other start; its user then closes it."""
        self.process.stop()

    def close(self) -> None:
        """Kill the process group, if there is one."""
        self.process.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _request_twice(self, request: bytes) -> Frame:
        """Send a request, and once more when the process died."""
        try:
            return self._request(request)
        except ProcessDied:
            try:
                return self._request(request)
            except ProcessDied as second:
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
        if not self.running:
            self.start()
        return self.process.exchange(request, self.timeout, _ANSWER_FACTOR * len(request) + _ANSWER_SLACK)


def checked_timeout(timeout: float) -> float:
    """The time limit, if it is one."""
    if not isinstance(timeout, (int, float)) or not timeout > 0:
        raise UserError(f"the timeout is {timeout!r}, but should be seconds, more than 0")
    return timeout

"""Workers of a suite that compute in its own process, where frameworks make mistakes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from io import BytesIO

from ..workers import process, sharing
from ..workers.frames import Frame, read_frame
from ..workers.launch import Process
from ..workers.worker import Adapters


class LocalProcess(Process):
    """Answers here what a process of its own would answer."""

    _adapters: Adapters | None = None

    @property
    def running(self) -> bool:
        """Whether adapters may have been loaded."""
        return self._adapters is not None

    def launch(self) -> None:
        """Begin without an adapter, unless there are some."""
        self._adapters = self._adapters or Adapters()

    def exchange(self, request: bytes, seconds: float, limit: int) -> Frame:
        """Answer a frame; the suite has a time limit of its own."""
        assert self._adapters is not None
        answer = read_frame(BytesIO(self._adapters.answer(_read(request))), limit)
        assert answer is not None
        return answer

    def stop(self) -> None:
        """Forget the adapters."""
        self.close()

    def close(self) -> None:
        """Forget the adapters."""
        self.loaded, self._adapters = "", None


def _read(request: bytes) -> Frame:
    frame = read_frame(BytesIO(request), len(request))
    assert frame is not None
    return frame


def install() -> None:
    """Let adapters of this Python compute here.

    One that needs other environment variables than one before gets a process.
    """
    process.Process = sharing.Process = _process  # type: ignore[assignment, attr-defined]


def _process(
    python: str = sys.executable, variables: Mapping[str, str] | None = None, without: Sequence[str] = ()
) -> Process:
    wanted = dict(variables or {})
    if python != sys.executable or any(os.environ.get(name, value) != value for name, value in wanted.items()):
        return Process(python, wanted, without)
    os.environ.update(wanted)
    return LocalProcess(python, wanted)

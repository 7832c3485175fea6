"""Progress on a terminal: how much is done, failures so far, time left."""

from __future__ import annotations

from collections import Counter
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..events import Event, Outcome, Planned, Started
from .groups import TROUBLE


class ProgressBar:
    """A bar for all and for each adapter; silent without a terminal."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]}", style="bold red"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[now]}", style="dim"),
            console=Console(stderr=True),
            transient=True,
        )
        self._progress.disable = not self._progress.console.is_terminal
        self._tasks: dict[str, TaskID] = {}
        self._failed: Counter[str] = Counter()

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def handle(self, event: Event) -> None:
        """Move the bars."""
        if isinstance(event, Planned):
            self._tasks["all"] = self._progress.add_task("all", total=event.tasks, now="", failed="")
            for adapter in event.adapters:
                self._tasks[adapter] = self._progress.add_task(adapter, total=event.cases, now="", failed="")
        elif isinstance(event, Started):
            self._progress.update(self._tasks[event.adapter], now=event.case)
        elif isinstance(event, Outcome):
            for bar in ("all", event.adapter):
                self._failed[bar] += event.verdict in TROUBLE
                failed = f"{self._failed[bar]} failed" if self._failed[bar] else ""
                if bar in self._tasks:
                    self._progress.update(self._tasks[bar], advance=1, failed=failed)

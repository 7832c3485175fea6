"""Where and how a plan of `verify` is run: here or on a cluster, kept in a folder or not, whole or a shard."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..adapters import Entry
from ..engine import CaseOrRecipe, Plan, run
from ..errors import UserError
from ..events import Event, Finished
from ..report.model import Report
from ..report.terminal import ProgressBar
from ..runs.folder import RunFolder
from ..runs.resume import Engine, cases_of_shard, describe, run_in

Events = Generator[Event, None, None]


@dataclass(frozen=True)
class Scale:
    """The options of a long run.

    Attributes:
        out: folder that keeps what ended.
        resume: whether it may hold a run already.
        shard: which part, as (number, of how many).
        dask: address of a scheduler.
    """

    out: Path | None = None
    resume: bool = False
    shard: tuple[int, int] | None = None
    dask: str | None = None

    def __post_init__(self) -> None:
        if self.resume and self.out is None:
            raise UserError("--resume goes on with the run of a folder; add --out DIR")

    def part(self, cases: tuple[CaseOrRecipe, ...]) -> tuple[CaseOrRecipe, ...]:
        """The cases of this shard, or all."""
        return cases_of_shard(cases, self.shard)


def parse_shard(text: str | None) -> tuple[int, int] | None:
    """`2/4` as (2, 4).

    Raises:
        UserError: for another form or a part that is not there.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UserError(f"--shard is {text!r}, but should be I/N with I from 1 to N, such as 1/4")
    return int(found[1]), int(found[2])


def held_by(scale: Scale) -> dict[str, Entry] | None:
    """The adapters that the workers of the cluster have; None without one."""
    if scale.dask is None:
        return None
    from ..engine.dask_cluster import cluster_entries

    return cluster_entries(scale.dask)


@contextmanager
def events_of(
    plan: Plan, cases: tuple[CaseOrRecipe, ...], scale: Scale, subject: dict[str, object]
) -> Iterator[Events]:
    """The events of a plan, which is a shard of `cases` or all of them."""
    with _engine(scale) as engine:
        if scale.out is None:
            yield engine(plan)
            return
        description = describe(plan, cases, scale.shard, subject)
        with RunFolder(scale.out, description, resume=scale.resume) as folder:
            yield run_in(folder, plan, engine)


@contextmanager
def _engine(scale: Scale) -> Iterator[Engine]:
    if scale.dask is None:
        yield run
        return
    from ..engine.dask_cluster import connect
    from ..engine.distributed import run_on

    with connect(scale.dask) as executors:
        yield partial(run_on, executors)


def watch(events: Events) -> Report:
    """Follow a run with a progress bar; Ctrl-C ends it with what is known so far."""
    report = Report()
    with ProgressBar() as bar:
        try:
            for event in events:
                report.handle(event)
                bar.handle(event)
        except KeyboardInterrupt:
            report.handle(Finished(0.0, interrupted=True))
        finally:
            events.close()
    return report

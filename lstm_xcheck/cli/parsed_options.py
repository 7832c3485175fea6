"""Options of the verbs as frozen dataclasses.

Fields are named like the parameters of the click command, whose options describe them.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError

if TYPE_CHECKING:
    from ..adapters import Entry
    from ..checkpoints.options import KerasOptions
    from ..engine import CaseOrRecipe, Plan, Recipe
    from ..model import LSTMSpec

#: Seconds for one case.
DEFAULT_TIMEOUT = 120.0
#: A deeper stack is taken for a typo.
_MAX_LAYERS = 512


def rerun_words(words: Sequence[str], functions: Sequence[str], pythons: Mapping[str, str]) -> dict[str, Any]:
    """Words of a case's command, and those of each own adapter."""
    own = {text.partition("=")[0]: ["--adapter", text] for text in functions}
    for name, python in pythons.items():
        own[name] = [*own.get(name, ["--adapters", name]), "--worker", f"{name}={python}"]
    return {"verify": shlex.join(words), "adapters": {name: shlex.join(option) for name, option in own.items()}}


def resume_command(asked: Mapping[str, Any], adapters: Iterable[str], out: Path) -> str:
    """The command that runs what a folder lacks; "" for unknown cases."""
    plain, words = list[str](), list[str]()
    for name in adapters:
        own = shlex.split(asked.get("adapters", {}).get(name, f"--adapters {name}"))
        if own[0] == "--adapters":
            plain.append(name)
            own = own[2:]
        words += own
    words += ["--adapters", ",".join(plain)] if plain else []
    return f"{asked['run']} {shlex.join([*words, '--out', str(out), '--resume'])}" if "run" in asked else ""


@dataclass(frozen=True, kw_only=True)
class SpecOptions:
    """The size and kind of one LSTM."""

    input_size: int | None = None
    hidden_size: int | None = None
    layers: int = 1
    bidirectional: bool = False
    proj_size: int = 0
    bias: str | None = None

    def spec(self) -> LSTMSpec:
        """The spec that the options describe."""
        from ..model import LSTMSpec

        if self.input_size is None or self.hidden_size is None:
            missing = "--input-size" if self.input_size is None else "--hidden-size"
            raise UserError(f"{missing} is missing; give both sizes, such as --input-size 5 --hidden-size 4")
        if self.layers > _MAX_LAYERS:
            raise UserError(f"--layers is {self.layers}, but should be {_MAX_LAYERS} or fewer")
        bias: Any = self.bias or "split"
        return LSTMSpec(
            self.input_size, self.hidden_size, self.layers, self.bidirectional, bias=bias, proj_size=self.proj_size
        )


@dataclass(frozen=True, kw_only=True)
class TraceOptions(SpecOptions):
    """The options of `trace`."""

    file: Path | None
    layer_name: str | None
    seed: int
    init: str | None
    input_file: Path | None
    one_hot: str | None
    depth: int | None
    values: str | None
    steps: int | None
    row: int
    layer: int | None
    direction: str | None
    unit: str | None
    adapter: str | None
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class CaseOptions:
    """The choice of designed cases."""

    preset: str | None
    grid_text: str | None
    seeds: int | None
    seed: int
    precision: str | None

    def check_precision(self) -> None:
        """Refuse a precision that does not exist."""
        from ..arrays import STORAGE

        if self.precision is not None and self.precision not in STORAGE:
            raise UserError(f"--precision is {self.precision!r}, but should be one of {', '.join(STORAGE)}")

    def recipes(self) -> list[Recipe]:
        """The recipes of the preset or grid, for each seed."""
        from ..engine import parse_grid, preset

        if self.preset is not None and self.grid_text is not None:
            raise UserError("--preset and --grid both choose the cases; give one of them")
        name = "standard" if self.preset is None else self.preset
        recipes = preset(name) if self.grid_text is None else parse_grid(self.grid_text)
        if self.precision:
            recipes = [replace(recipe, dtype=self.precision) for recipe in recipes]
        if self.seeds is not None or self.seed:
            seeds = range(self.seed, self.seed + (self.seeds or 1))
            recipes = [replace(recipe, seed=recipe.seed + seed) for recipe in recipes for seed in seeds]
        return list(dict.fromkeys(recipes))


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """The workers that run adapters."""

    jobs: int | None
    workers: Sequence[str]
    timeout: float

    def pythons(self) -> dict[str, str]:
        """`NAME=PYTHON` options as a mapping."""
        pythons: dict[str, str] = {}
        for text in self.workers:
            name, equals, python = text.partition("=")
            if not equals or not name or not python:
                raise UserError(f"--worker {text!r} should be written NAME=PYTHON, such as old-torch=/path/to/python")
            if name in pythons:
                raise UserError(
                    f"--worker {name} is given twice; give each interpreter a label of its own, such as old-{name}"
                )
            if not Path(python).is_file():
                raise UserError(f"--worker {name}: there is no interpreter {python}")
            pythons[name] = str(Path(python).absolute())
        return pythons

    def plan(self, cases: Sequence[CaseOrRecipe], entries: Sequence[Entry], pythons: Mapping[str, str]) -> Plan:
        """A plan of all cases and adapters, by default with a worker per core."""
        from ..engine import Plan

        return Plan(tuple(cases), tuple(entries), pythons, self.timeout, self.jobs or os.cpu_count() or 1)


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Where a report goes, and how much of it is printed."""

    reports: Sequence[Path]
    as_json: bool
    quiet: bool
    verbose: bool
    color: str


@dataclass(frozen=True, kw_only=True)
class RecordOptions(CaseOptions, WorkerOptions):
    """The options of `record`."""

    out: Path
    environment: str
    run_id: str
    adapters: str | None
    functions: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class ReplayOptions(WorkerOptions, ReportOptions):
    """The options of `replay`."""

    files: Sequence[Path]
    expect: str | None
    run_id: str
    adapters: str | None


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(CaseOptions, WorkerOptions, ReportOptions):
    """The options of `verify`."""

    files: Sequence[Path]
    adapters: str | None
    functions: Sequence[str]
    layouts: Sequence[str]
    keras_config: Path | None
    activation: str | None
    recurrent_activation: str | None
    go_backwards: bool
    accept_class: Sequence[str]
    gradients: bool
    case_ids: Sequence[str]
    last_failed: bool
    exit_first: bool
    out: Path | None
    resume: bool
    shard: str | None
    dask: str | None

    def keras(self) -> KerasOptions:
        """What the user adds to Keras files."""
        from ..checkpoints.options import KerasOptions

        return KerasOptions.of(
            self.keras_config, self.activation, self.recurrent_activation, self.go_backwards, self.accept_class
        )

    def check_selection(self) -> None:
        """Refuse options that --case or --last-failed would pass over in silence."""
        if self.case_ids and self.last_failed:
            raise UserError("--case and --last-failed both choose the cases; give one of them")
        chosen = "--case" if self.case_ids else "--last-failed" if self.last_failed else ""
        changes = {"--precision": self.precision, "--seed": self.seed, "--seeds": self.seeds}
        given = [option for option, value in changes.items() if value]
        if chosen and given and not self.files:
            raise UserError(f"{given[0]} changes designed cases, but {chosen} names them as they are; leave one out")

    def command(self) -> dict[str, Any]:
        """The commands that ask for a case and for all cases again."""
        files = [f"./{file}" if str(file).startswith("-") else str(file) for file in self.files]
        words = ["lstm-xcheck", "verify", *files]
        words += [] if self.timeout == DEFAULT_TIMEOUT else ["--timeout", f"{self.timeout:g}"]
        named = {
            "--keras-config": self.keras_config, "--activation": self.activation,
            "--recurrent-activation": self.recurrent_activation, "--seeds": self.seeds, "--seed": self.seed or None,
            "--precision": self.precision,
        }  # fmt: skip
        options = [word for layout in self.layouts for word in ("--layout", layout)]
        options += [str(word) for option in named.items() if option[1] is not None for word in option]
        options += ["--go-backwards"] * self.go_backwards + ["--gradients"] * self.gradients
        options += [word for name in self.accept_class for word in ("--accept-class", name)]
        # Ids of designed cases say all of this themselves.
        asked = rerun_words([*words, *options] if self.files else words, self.functions, self.pythons())
        if self.last_failed:
            return asked
        chosen = {"--preset": self.preset, "--grid": self.grid_text}  # a report is the same without a cluster
        options += [word for option, value in chosen.items() if value is not None for word in (option, value)]
        options += [word for id in self.case_ids for word in ("--case", id)]
        return {**asked, "run": shlex.join([*words, *options])}

    def shard_number(self) -> tuple[int, int] | None:
        """`2/4` as (2, 4), None for the complete run."""
        if self.shard is None:
            return None
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", self.shard)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise UserError(f"--shard is {self.shard!r}, but should be I/N with I from 1 to N, such as 1/4")
        return int(found[1]), int(found[2])

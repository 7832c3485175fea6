"""Draws cases, makes honest and mutated runs on them, and scores each."""

from __future__ import annotations

import atexit
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import float32_lstm
import foreign_errors
import numpy as np
from same_thing import same, same_thing

from lstm_xcheck.compare import judge
from lstm_xcheck.compare.judge import judged_quantities
from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import CATALOGUE, Diagnosis, Mistake, diagnose
from lstm_xcheck.diagnose.fit import fit
from lstm_xcheck.diagnose.mistake import Outputs, changed_case, changed_outputs, result_from, run_mistakes
from lstm_xcheck.diagnose.numbers import same_change
from lstm_xcheck.errors import SpecError, Unsupported
from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.model.initializers import INITIALIZERS
from lstm_xcheck.oracle import profile_named

#: Mistakes with an effect above this many standard deviations of rounding must be caught.
ABOVE_NOISE = 12.0
REGIMES = tuple(name for name in INITIALIZERS if name != "probe")
_BY_ID = {mistake.id: mistake for mistake in CATALOGUE}


@dataclass(frozen=True)
class Draw:
    """How runs are drawn.

    Attributes:
        seed: of all draws.
        real: whether torch itself computes half of the runs that it can.
        through: adapters that compute all runs; empty for NumPy.
    """

    seed: int
    real: bool
    through: tuple[str, ...] = ()


def generator(draw: Draw, kind: str, index: int) -> np.random.Generator:
    """A random generator for each run."""
    return np.random.default_rng([draw.seed, index, sum(map(ord, kind))])


def probe_case(rng: np.random.Generator) -> Case:
    """A designed probe: at least three rows, initial states, every option of the spec."""
    hidden = int(rng.choice([4, 5, 8, 12, 24]))
    steps = int(rng.integers(4, 11))
    spec = LSTMSpec(
        input_size=hidden if rng.random() < 0.3 else int(rng.integers(2, 13)),
        hidden_size=hidden,
        **_options(rng, hidden),
    )
    batch = steps if rng.random() < 0.25 else int(rng.integers(3, 6))
    return Case.random(spec, steps=steps, batch=batch, seed=_seed(rng), ragged=bool(rng.random() < 0.4))


def user_case(rng: np.random.Generator) -> Case:
    """Weights of every regime, on data that were not designed."""
    hidden = int(rng.choice([1, 2, 3, 5, 8, 16, 24]))
    steps = int(rng.integers(1, 33))
    spec = LSTMSpec(
        input_size=hidden if rng.random() < 0.2 else int(rng.integers(1, 17)),
        hidden_size=hidden,
        **_options(rng, hidden),
    )
    return Case.random(
        spec,
        steps=steps,
        batch=steps if steps < 7 and rng.random() < 0.4 else int(rng.integers(1, 6)),
        seed=_seed(rng),
        states=bool(rng.random() < 0.5),
        ragged=bool(rng.random() < 0.35),
        one_hot=bool(rng.random() < 0.15),
        scale=float(rng.choice([0.1, 1.0, 1.0, 1.0, 5.0])),
        init=str(rng.choice(REGIMES)),
    )


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _options(rng: np.random.Generator, hidden: int) -> dict[str, Any]:
    options: dict[str, Any] = {
        "num_layers": int(rng.choice([1, 1, 1, 2, 2, 3])),
        "bidirectional": bool(rng.random() < 0.35),
        "bias": str(rng.choice(["split", "split", "single", "none"])),
    }
    rare: list[dict[str, Any]] = [{"peepholes": True}, {"proj_size": max(1, hidden // 2)}, {"cell_clip": 1.5}]
    rare += [
        {"gate_clip": 2.5},
        {"coupling": "f=1-i"},
        {"reverse": True},
        {"cell_clip": 2.0, "proj_size": max(1, hidden // 2)},
    ]
    if rng.random() < 0.3:
        options.update(rare[int(rng.integers(len(rare)))])
    if options.get("proj_size", 0) >= hidden:
        options["proj_size"] = 0
    if options["bidirectional"]:
        options["reverse"] = False
    return options


CASES = {"probe": probe_case, "user": user_case}


def honest_run(case: Case, draw: Draw, rng: np.random.Generator) -> Result | None:
    """A right result up to rounding; None for overflow or an unsupported LSTM."""
    if draw.through:
        return _through(case, str(rng.choice(draw.through)))
    if draw.real and rng.random() < 0.5:
        adapter = _torch()
        if type(case.spec) is LSTMSpec and adapter.adapter.unsupported(case) is None:
            return adapter.execute(case)
    result = float32_lstm.run(case, str(rng.choice(float32_lstm.ORDERS)))
    return result if all(np.isfinite(array).all() for array in observed_quantities(result).values()) else None


def _through(case: Case, name: str) -> Result | None:
    """The result of a real backend; None for an unsupported LSTM."""
    if type(case.spec) is not LSTMSpec:  # directions that no backend has
        return None
    try:
        return _torch().execute(case) if name == "torch" else _worker(name).run(case)
    except Unsupported:
        return None


@cache
def _worker(name: str) -> Any:
    from lstm_xcheck.adapters.registry import entry_named
    from lstm_xcheck.workers.process import Worker

    worker = Worker(entry_named(name))
    atexit.register(worker.close)
    return worker


def drawn_case(draw: Draw, kind: str, rng: np.random.Generator) -> Case:
    """A case of a kind that every backend in use supports."""
    while True:
        case = CASES[kind](rng)
        if all(_through(case, name) is not None for name in draw.through):
            return case


@cache
def _torch() -> Any:
    from lstm_xcheck.adapters.protocol import Session
    from lstm_xcheck.adapters.registry import entry_named, load_adapter

    entry = entry_named("torch")
    return Session(load_adapter(entry.target, entry.name))


def mutated_run(mistakes: tuple[Mistake, ...], case: Case, draw: Draw, rng: np.random.Generator) -> Result | None:
    """The result of an implementation with these mistakes; None where they exclude each other."""
    changed = changed_case(mistakes, case)
    result = None if changed is None else honest_run(changed, draw, rng)
    outputs = None if result is None else changed_outputs(mistakes, observed_quantities(result), case)
    return None if outputs is None else result_from(outputs)


def score_honest(draw: Draw, kind: str, index: int, count: int) -> list[dict[str, Any]]:
    """Score honest runs of one case: are they flagged?"""
    rng = generator(draw, f"honest-{kind}", index)
    case = drawn_case(draw, kind, rng)
    verdicts = []
    for _ in range(count):
        result = honest_run(case, draw, rng)
        verdicts.append("overflow" if result is None else judge(result, case).verdict)
    unflagged = ("match", "overflow", "inconclusive")
    return [{"outcome": name if name in unflagged else "flagged", "case": case.id} for name in verdicts]


def score_mutants(
    draw: Draw, kind: str, index: int, count: int, *, size: int = 1, leave_out: bool = False
) -> list[dict[str, Any]]:
    """Score runs with `size` mistakes each: are they caught and named right?"""
    rng = generator(draw, f"{kind}-{size}-{leave_out}", index)
    case = drawn_case(draw, kind, rng)
    honest = run_mistakes((), case)
    entries: list[dict[str, Any]] = []
    while len(entries) < count:
        mistakes = tuple(CATALOGUE[k] for k in rng.choice(len(CATALOGUE), size=size, replace=False))
        with np.errstate(all="ignore"):
            truth = run_mistakes(mistakes, case)
            result = None if truth is None else mutated_run(mistakes, case, draw, rng)
        if truth is not None and result is not None and all(np.isfinite(a).all() for a in truth.values()):
            entry = {"case": case.id, "truth": [mistake.id for mistake in mistakes]}
            if same(truth, honest):
                entries.append({**entry, "outcome": "equivalent to no mistake"})
            else:
                entries.append({**entry, **_classify(case, mistakes, truth, result, leave_out)})
    return entries


def score_foreign(draw: Draw, index: int, count: int) -> list[dict[str, Any]]:
    """Score runs with an error that is in no catalogue: is anything named that it is not?"""
    rng = generator(draw, "foreign", index)
    entries: list[dict[str, Any]] = []
    while len(entries) < count:
        case = foreign_errors.foreign_case(rng)
        with np.errstate(all="ignore"):
            error = foreign_errors.draw(rng, case)
            result = None if error is None else honest_run(error.changed, draw, rng)
        if error is None or result is None:
            continue
        result = foreign_errors.observe(rng, result)
        about = {"case": case.id, "truth": [error.kind], "size": error.size}
        if not _is_flagged(result, case):
            entries.append({**about, "outcome": "below rounding"})
            continue
        try:
            found = diagnose(result, case)
        except SpecError as refusal:
            entries.append({**about, "outcome": "refused", "named": str(refusal)})
            continue
        entries.append({**about, "outcome": _outcome_of_foreign(found, error), "named": [found.cause]})
    return entries


def _is_flagged(result: Result, case: Case) -> bool:
    """The decision of the judge, without its search for a precision that explains the numbers."""
    rows, _ = judged_quantities(result, case)
    return any(row.verdict in ("mismatch", "suspect") for row in rows)


def _outcome_of_foreign(found: Diagnosis, error: foreign_errors.Foreign) -> str:
    if found.cause is None:
        return "within reach" if found.within_reach else "unexplained"
    truth, named = run_mistakes((), error.changed), found.named
    if named and (same(run_mistakes(named, error.case), truth) or foreign_errors.is_true(found, named, error)):
        return "right"
    return "misnamed"


def _classify(
    case: Case, mistakes: tuple[Mistake, ...], truth: Outputs, result: Result, leave_out: bool
) -> dict[str, Any]:
    profile, observed = profile_named(case.precision), observed_quantities(result)
    seen = {name: array for name, array in truth.items() if name in observed}
    if not _is_flagged(result, case):
        effect = fit([], seen, case, profile)
        lost = effect.score <= 2.0 and effect.sigmas <= ABOVE_NOISE
        return {"outcome": "below rounding" if lost else "missed", "effect": effect}
    if len(mistakes) > 1 and any(_hides((mistake,), seen, case) for mistake in mistakes):
        return {"outcome": "one hides the other"}
    catalogue = CATALOGUE
    if leave_out:
        catalogue = tuple(m for m in CATALOGUE if m not in mistakes and not same_thing((m,), mistakes, case, truth))
    try:
        found = diagnose(result, case, catalogue=catalogue)
    except SpecError as refusal:
        return {"outcome": "refused", "named": str(refusal)}
    return {"outcome": _outcome(found, truth, case, mistakes), "named": list(found.mistakes)}


def _hides(mistakes: tuple[Mistake, ...], truth: Outputs, case: Case) -> bool:
    """Whether these mistakes alone explain the outputs up to rounding."""
    quality = fit(mistakes, truth, case, profile_named(case.precision))
    return quality.score <= 2.0 and quality.sigmas <= ABOVE_NOISE


def _outcome(found: Diagnosis, truth: Outputs, case: Case, mistakes: tuple[Mistake, ...]) -> str:
    if found.cause is None:
        return "within reach" if found.within_reach else "unexplained"
    if set(found.mistakes) == {mistake.id for mistake in mistakes}:
        return "right"
    if found.parameters:  # "the bias times 0" is "bias dropped"
        return "right" if len(mistakes) == 1 and same_change(found.named[0], mistakes[0], case) else "misnamed"
    explanations = [found.mistakes, *(tuple(other["mistakes"]) for other in found.alternatives)]
    for k, ids in enumerate(explanations):
        if all(id in _BY_ID for id in ids) and any(
            same_thing(tuple(_BY_ID[id] for id in order), mistakes, case, truth) for order in (ids, ids[::-1])
        ):
            return "right" if k == 0 else "rival"
    return "misnamed"


def score_cost(draw: Draw, index: int) -> dict[str, Any]:
    """Processor time of diagnosing one mistake, and a pair, at hidden 24."""
    rng = generator(draw, "cost", index)
    case = Case.random(LSTMSpec(input_size=16, hidden_size=24), steps=8, batch=3, seed=_seed(rng))
    taken: dict[str, Any] = {}
    for name, size in (("one mistake", 1), ("two mistakes", 2)):
        while name not in taken:
            mistakes = tuple(CATALOGUE[k] for k in rng.choice(len(CATALOGUE), size=size, replace=False))
            with np.errstate(all="ignore"):
                result = mutated_run(mistakes, case, draw, rng)
            if result is None or judge(result, case).verdict != "mismatch":
                continue
            start = time.process_time()
            found = diagnose(result, case)
            if len(found.mistakes) == size:
                taken[name] = time.process_time() - start
    return taken

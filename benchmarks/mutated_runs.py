"""Fresh cases, honest and mutated runs on them, and what became of each."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import float32_lstm
import numpy as np

from lstm_xcheck.compare import judge
from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import CATALOGUE, Diagnosis, Mistake, diagnose
from lstm_xcheck.diagnose.fit import fit
from lstm_xcheck.diagnose.mistake import Outputs, result_from, run_mistakes
from lstm_xcheck.errors import SpecError
from lstm_xcheck.oracle import profile_named
from lstm_xcheck.spec import Case, LSTMSpec, Result
from lstm_xcheck.spec.initializers import INITIALIZERS

#: Outputs closer than this in float64 are the same.
SAME = 1e-12
#: An effect of at least this many standard deviations of rounding must be caught.
ABOVE_NOISE = 12.0
REGIMES = tuple(name for name in INITIALIZERS if name != "probe")
_BY_ID = {mistake.id: mistake for mistake in CATALOGUE}


@dataclass(frozen=True)
class Draw:
    """How runs are drawn: the seed of all, and whether the real torch computes where it can."""

    seed: int
    real: bool


def generator(draw: Draw, kind: str, index: int) -> np.random.Generator:
    """A stream of its own for each run."""
    return np.random.default_rng([draw.seed, index, sum(map(ord, kind))])


def probe_case(rng: np.random.Generator) -> Case:
    """A designed probe: three rows or more, initial states, every option of the spec."""
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
    """Weights as they come, in every regime, on data that were not designed."""
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
    """An implementation of the case, right up to rounding; None where float32 overflows."""
    if draw.real and rng.random() < 0.5:
        adapter = _torch()
        if type(case.spec) is LSTMSpec and adapter.adapter.unsupported(case) is None:
            return adapter.execute(case)
    result = float32_lstm.run(case, str(rng.choice(float32_lstm.ORDERS)))
    return result if all(np.isfinite(array).all() for array in observed_quantities(result).values()) else None


@cache
def _torch() -> Any:
    from lstm_xcheck.adapters.protocol import Session
    from lstm_xcheck.adapters.registry import entry_named, load_adapter

    entry = entry_named("torch")
    return Session(load_adapter(entry.target, entry.name))


def mutated_run(mistakes: tuple[Mistake, ...], case: Case, draw: Draw, rng: np.random.Generator) -> Result | None:
    """What an implementation with these mistakes answers; None where they make no sense together."""
    changed: Case | None = case
    for mistake in mistakes:
        changed = None if changed is None else mistake.change_case(changed)
    result = None if changed is None else honest_run(changed, draw, rng)
    if result is None:
        return None
    outputs: Outputs | None = observed_quantities(result)
    for mistake in mistakes:
        if mistake.after is not None and outputs is not None:
            outputs = mistake.after(outputs, case)
    return None if outputs is None else result_from(outputs)


def score_honest(draw: Draw, kind: str, index: int) -> dict[str, Any]:
    """One honest run: is it flagged?"""
    rng = generator(draw, f"honest-{kind}", index)
    case = CASES[kind](rng)
    result = honest_run(case, draw, rng)
    verdict = "overflow" if result is None else judge(result, case).verdict
    return {"outcome": verdict if verdict in ("match", "overflow", "inconclusive") else "flagged", "case": case.id}


def score_mutant(draw: Draw, kind: str, index: int, *, size: int = 1, leave_out: bool = False) -> dict[str, Any]:
    """One run with `size` mistakes: is it caught, and is it named right?"""
    rng = generator(draw, f"{kind}-{size}-{leave_out}", index)
    while True:
        case = CASES[kind](rng)
        mistakes = tuple(CATALOGUE[k] for k in rng.choice(len(CATALOGUE), size=size, replace=False))
        with np.errstate(all="ignore"):
            truth = run_mistakes(mistakes, case)
            result = None if truth is None else mutated_run(mistakes, case, draw, rng)
        if truth is not None and result is not None and all(np.isfinite(a).all() for a in truth.values()):
            return _classify(case, mistakes, truth, result, leave_out)


def _classify(
    case: Case, mistakes: tuple[Mistake, ...], truth: Outputs, result: Result, leave_out: bool
) -> dict[str, Any]:
    entry = {"case": case.id, "truth": [mistake.id for mistake in mistakes]}
    profile = profile_named(case.precision)
    honest = run_mistakes((), case)
    if same(truth, honest):
        return {**entry, "outcome": "equivalent to no mistake"}
    seen = {name: array for name, array in truth.items() if name in observed_quantities(result)}
    with np.errstate(all="ignore"):
        effect = fit([], seen, case, profile)
        verdict = judge(result, case).verdict
    if verdict not in ("mismatch", "suspect"):
        lost = effect.score <= 2.0 and effect.sigmas <= ABOVE_NOISE
        return {**entry, "outcome": "below rounding" if lost else "missed", "effect": effect}
    if len(mistakes) > 1 and any(_hides((mistake,), seen, case) for mistake in mistakes):
        return {**entry, "outcome": "one hides the other"}
    catalogue = CATALOGUE
    if leave_out:
        catalogue = tuple(m for m in CATALOGUE if m not in mistakes and not same(run_mistakes((m,), case), truth))
    start = time.process_time()
    try:
        found = diagnose(result, case, catalogue=catalogue)
    except SpecError as refusal:
        return {**entry, "outcome": "refused", "named": str(refusal)}
    seconds = time.process_time() - start
    outcome = _outcome(found, truth, case, mistakes)
    return {
        **entry,
        "outcome": outcome,
        "named": list(found.mistakes),
        "seconds": seconds,
        "hidden": case.spec.hidden_size,
    }


def _hides(mistakes: tuple[Mistake, ...], truth: Outputs, case: Case) -> bool:
    """Whether fewer mistakes explain the truth up to rounding, so that no output can tell of the others."""
    quality = fit(mistakes, truth, case, profile_named(case.precision))
    return quality.score <= 2.0 and quality.sigmas <= ABOVE_NOISE


def _outcome(found: Diagnosis, truth: Outputs, case: Case, mistakes: tuple[Mistake, ...]) -> str:
    if found.cause is None:
        return "unexplained"
    if set(found.mistakes) == {mistake.id for mistake in mistakes}:
        return "right"
    explanations = [found.mistakes, *(tuple(other["mistakes"]) for other in found.alternatives)]
    for k, ids in enumerate(explanations):
        if all(id in _BY_ID for id in ids) and any(
            same(run_mistakes(tuple(_BY_ID[id] for id in order), case), truth) for order in (ids, ids[::-1])
        ):
            return "right" if k == 0 else "rival"
    return "misnamed"


def same(a: Outputs | None, b: Outputs | None) -> bool:
    """Whether two float64 runs are the same on this case."""
    if a is None or b is None or a.keys() != b.keys():
        return False
    return all(a[n].shape == b[n].shape and float(np.abs(a[n] - b[n]).max()) <= SAME for n in a)

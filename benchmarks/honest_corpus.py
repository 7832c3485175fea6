"""Judges honest LSTMs in many arithmetics and regimes: none may be flagged.

    python benchmarks/honest_corpus.py --precision float32 --runs 500 --seed 7

The regimes are random weights of every kind, and those whose roundings are correlated: the same input at every step,
equal terms, terms of two values, halves of one sign, ramps, one big term, biases that cancel each other.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from honest_kernels import ABSOLUTE_TANHS, ADDS, ROUNDED_SUMS, SIGMOIDS, SUMS, TANHS, Kernel, run

from lstm_xcheck.arrays import Array
from lstm_xcheck.compare import Verdict, judge
from lstm_xcheck.model import Case, CellWeights, LSTMSpec, LSTMWeights

INITS = ("torch", "keras", "normal", "saturated", "longmem", "probe", "tiny", "outliers", "chaotic", "positive")
#: Those of single regimes: f near 1; what is drawn quickly.
OWN_INITS = {"constant inputs": ("longmem", "torch", "probe"), "large": ("torch", "normal", "longmem", "positive")}
#: How a sum's terms may be alike.
PATTERNS = ("ones", "two values", "four values", "halves of one sign", "ramp", "one big term", "one sign")
REGIMES = (*("random", "random", "options", "constant inputs", "cancelling biases", "equal terms") * 3, "large")
PRECISIONS = ("float64", "float32", "float16", "bfloat16", "float16-own", "bfloat16-own")


@dataclass
class Figures:
    """Verdicts of many runs."""

    runs: int = 0
    flagged: int = 0
    decided: Counter[str] = None  # type: ignore[assignment]
    score: float = 0.0

    def __post_init__(self) -> None:
        self.decided = Counter()

    def add(self, verdict: Verdict) -> None:
        """Count one run."""
        self.runs += 1
        self.flagged += verdict.verdict in ("mismatch", "suspect")
        self.decided.update({row.decided_by for row in verdict.rows})
        self.score = max([self.score, *(row.score for row in verdict.rows if row.score is not None)])


def draw_case(rng: Any, precision: str, regime: str) -> Case:
    """A case of one regime."""
    stored = precision.removesuffix("-own")
    hidden = int(rng.choice([1, 4, 16, 64, 128, 256], p=[0.1, 0.3, 0.3, 0.15, 0.1, 0.05]))
    inputs, steps = int(rng.choice([1, 8, 64])), int(rng.choice([1, 4, 16, 60], p=[0.3, 0.3, 0.3, 0.1]))
    if regime == "equal terms":
        return equal_terms(rng, stored)
    if regime == "large":
        hidden, steps, inputs = int(rng.choice([512, 1024])), int(rng.choice([1, 3])), 64
    data: dict[str, Any] = {
        "batch": int(rng.choice([1, 3])),
        "states": bool(rng.random() < 0.5),
        "seed": int(rng.integers(1 << 30)),
    }
    options: dict[str, Any] = {"bias": str(rng.choice(["split", "single"]))}
    if regime == "options":
        hidden, steps = min(hidden, 16), int(rng.choice([4, 16]))
        options |= {"num_layers": int(rng.choice([1, 2])), "bidirectional": bool(rng.random() < 0.5)}
        data["ragged"] = bool(rng.random() < 0.5)
        kind = rng.integers(4)
        if kind == 0:
            options |= {"peepholes": True}
        elif kind == 1:
            options |= {"coupling": str(rng.choice(["f=1-i", "i=1-f"])), "bias": "single"}
        elif kind == 2 and hidden > 1:
            options |= {"proj_size": hidden // 2}
    if regime == "constant inputs":
        hidden, steps = min(hidden, 16), int(rng.choice([60, 200, 600]))
        data["batch"] = 1
    spec = LSTMSpec(input_size=inputs, hidden_size=hidden, **options)
    init = str(rng.choice(OWN_INITS.get(regime, INITS)))
    case = Case.random(spec, steps=steps, init=init, precision=stored, **data)
    if regime == "constant inputs":
        case = replace(case, x=np.broadcast_to(case.x[:, :1], case.x.shape), id="")
    if regime == "cancelling biases" and spec.bias == "split":
        big = float(10 ** rng.uniform(0, 3))
        (cell,) = case.weights.layers[0]
        b_r = np.asarray(cell.b_r)
        both = {"b": np.full_like(b_r, big), "b_r": b_r - b_r.dtype.type(big)}
        cell = CellWeights(W=cell.W, U=cell.U, **both)
        case = replace(case, weights=LSTMWeights(spec, ((cell,),), stored), id="")
    return case


def equal_terms(rng: Any, precision: str) -> Case:
    """Rows of terms that are alike."""
    low = precision in ("float16", "bfloat16")
    inputs = int(rng.choice([64, 256, 1024] if low else [256, 1024, 2048]))
    size = float(10 ** rng.uniform(-3, 0.3)) / np.sqrt(inputs)
    row = pattern(rng, str(rng.choice(PATTERNS)), inputs) * size
    spec = LSTMSpec(input_size=inputs, hidden_size=2)
    (cell,) = LSTMWeights.random(spec, seed=int(rng.integers(1 << 30)), dtype=precision).layers[0]
    signs = np.array([1.0, -1.0, 1.0, -1.0])[:, None, None] * np.array([1.0, 0.9])[None, :, None]
    b = np.full((4, 2), 0.1)
    cell = CellWeights(W=signs * row, U=cell.U, b=b, b_r=b)  # type: ignore[arg-type]
    x = np.full((1, 3, inputs), rng.choice([1.0, 0.7]))
    return Case(weights=LSTMWeights(spec, ((cell,),), precision), x=x, precision=precision)


def pattern(rng: Any, name: str, n: int) -> Array:
    """The terms of a row, of size 1."""
    k = np.arange(n)
    patterns: dict[str, Array] = {
        "ones": np.ones(n),
        "two values": np.where(k % 2, 1.0, 1.37),
        "four values": rng.choice([0.3, 0.7, 1.1, 1.3], n),
        "halves of one sign": np.where(k < n // 2, 1.0, -1.0) * (1.0 + 1e-3 * rng.standard_normal(n)),
        "ramp": (k + 1) / n,
        "one big term": np.r_[1000.0, np.ones(n - 1)],
        "one sign": rng.random(n),
    }
    return patterns[name]


def draw_kernel(rng: Any, precision: str, case: Case) -> Kernel:
    """An arithmetic; sums one by one only where they are short."""
    own = precision.endswith("-own")
    names = list(ROUNDED_SUMS if own else SUMS)
    if case.spec.hidden_size * case.spec.input_size * case.steps > 100_000:
        names = ["pairwise"] if own else ["blas", "exact", "pairwise"]
    # Behind a projection, and in a handful of numbers, nothing shows that a tanh is absolute, and it is a mismatch.
    shown = not case.spec.proj_size and case.batch * case.steps * case.spec.hidden_size >= 32
    absolute = precision in ("float64", "float32") and shown and rng.random() < 0.1
    tanhs = list(ABSOLUTE_TANHS if absolute else TANHS)
    if precision == "float64":  # whose series has too few terms, and whose rational function is for float32
        tanhs = [name for name in tanhs if name not in ("series", "eigen")]
    return Kernel(
        precision.removesuffix("-own"),
        str(rng.choice(names)),
        str(rng.choice(list(ADDS))),
        "each operation stored" if own else str(rng.choice(list(SIGMOIDS))),
        str(rng.choice(tanhs)),
        bool(rng.random() < 0.3),
        own,
    )


def main() -> None:
    """Print the figures of each precision, and every run that was flagged."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=PRECISIONS, action="append", default=[])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop each precision after so long")
    options = parser.parse_args()
    for precision in options.precision or PRECISIONS:
        figures, started = {name: Figures() for name in dict.fromkeys(REGIMES)}, time.monotonic()
        for index in range(options.runs):
            if time.monotonic() - started > options.seconds:
                break
            rng = np.random.default_rng([options.seed, PRECISIONS.index(precision), index])
            regime = REGIMES[index % len(REGIMES)]
            case = draw_case(rng, precision, regime)
            kernel = draw_kernel(rng, precision, case)
            result = replace(run(case, kernel), computed_in=precision if kernel.own else "")
            verdict = judge(result, case)
            figures[regime].add(verdict)
            if verdict.verdict in ("mismatch", "suspect"):
                print(f"FLAGGED {precision} {regime} #{index} {case.id} {kernel}: {verdict}")
        for regime, numbers in figures.items():
            print(
                f"{precision:13} {regime:18} {numbers.runs:5} runs, {numbers.flagged} flagged, largest error / bound "
                f"{numbers.score:.2f}, {dict(numbers.decided)}"
            )


if __name__ == "__main__":
    main()

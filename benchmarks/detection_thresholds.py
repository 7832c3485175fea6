"""Measures the smallest mistakes that are flagged, by precision and hidden size.

    python benchmarks/detection_thresholds.py --write      the page docs/reference/detection_thresholds.md

All weights W are multiplied by a factor 1 + v, the LSTM runs in NumPy in the precision, and v is halved between what is
flagged and what is not.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from honest_kernels import Kernel, run

from lstm_xcheck.compare import Verdict, judge
from lstm_xcheck.model import Case, CellWeights, LSTMSpec, LSTMWeights

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "detection_thresholds.md"

#: Precisions, and the largest and smallest v that is tried.
PRECISIONS = {
    "bfloat16": (1.0, 1e-3),
    "bfloat16-own": (1.0, 1e-3),
    "float16": (0.3, 1e-4),
    "float16-own": (0.3, 1e-4),
    "float32": (3e-2, 1e-8),
    "float64": (1e-9, 1e-17),
}
HIDDEN = (64, 256, 512, 1024)
#: Sums that round each partial sum are slow in NumPy.
LARGEST_OWN = 256
SEEDS = 3
#: Relative accuracy of the search.
CLOSE = 1.1

Change = Callable[[dict[str, Any]], None]


def scaled(*names: str, by: float) -> Change:
    """Arrays multiplied by a factor."""

    def change(arrays: dict[str, Any]) -> None:
        for name in names:
            arrays[name] = arrays[name].astype(np.float64) * by

    return change


MISTAKES: dict[str, Change] = {
    "honest": scaled(by=1.0),
    "b_r dropped": scaled("b_r", by=0.0),
    "both biases dropped": scaled("b", "b_r", by=0.0),
    "both doubled": scaled("b", "b_r", by=2.0),
    "W x 1.1": scaled("W", by=1.1),
    "W x 1.2": scaled("W", by=1.2),
}


def case_of(hidden: int, precision: str, seed: int) -> Case:
    """PyTorch's initialisation, 64 inputs, 4 steps, 2 rows."""
    spec = LSTMSpec(input_size=64, hidden_size=hidden)
    return Case.random(spec, init="torch", steps=4, batch=2, seed=seed, precision=precision.removesuffix("-own"))


def judged(case: Case, precision: str, change: Change) -> Verdict:
    """The verdict on a kernel of this precision with changed arrays."""
    arrays: dict[str, Any] = {name: np.array(array) for name, array in case.weights.layers[0][0].items()}
    change(arrays)
    wrong = LSTMWeights(case.spec, ((CellWeights(**arrays),),), case.precision)
    own = precision.endswith("-own")
    kernel = Kernel(
        case.precision, "pairwise" if own else "blas", "a + h + b + b_r",
        "each operation stored" if own else "exp", "library", own=own,
    )  # fmt: skip
    result = run(replace(case, weights=wrong, id="wrong"), kernel)
    return judge(replace(result, computed_in=precision if own else ""), case)


def smallest(case: Case, precision: str, flagged: Callable[[Verdict], bool]) -> float | None:
    """The smallest v that is flagged; None where the largest is not."""
    most, least = PRECISIONS[precision]
    if not flagged(judged(case, precision, scaled("W", by=1.0 + most))):
        return None
    while most / least > CLOSE:
        middle = (most * least) ** 0.5
        if flagged(judged(case, precision, scaled("W", by=1.0 + middle))):
            most = middle
        else:
            least = middle
    return most


def thresholds(precision: str, hidden: int) -> list[str]:
    """The cells of one row: proven, flagged, and by which rule."""
    proven, flagged, rules = [], [], []
    for seed in range(SEEDS):
        case = case_of(hidden, precision, seed)
        proven.append(smallest(case, precision, lambda verdict: verdict.verdict == "mismatch"))
        v = smallest(case, precision, lambda verdict: verdict.verdict != "match")
        flagged.append(v)
        if v is not None:
            verdict = judged(case, precision, scaled("W", by=1.0 + v))
            rules += [row.decided_by for row in verdict.rows if row.verdict != "match"]
    return [_median(proven), _median(flagged), max(set(rules), key=rules.count) if rules else ""]


def _median(values: list[float | None]) -> str:
    found = [value for value in values if value is not None]
    return "never" if len(found) < len(values) else f"{float(np.median(found)):.2g}"


def page(hidden: tuple[int, ...]) -> Iterator[str]:
    """The lines of the page."""
    yield "# Detection thresholds\n"
    yield "The smallest mistakes that are flagged, measured by `benchmarks/detection_thresholds.py`: the initialisation"
    yield f"of PyTorch, 64 inputs, 4 steps, 2 rows, NumPy kernels with BLAS, medians of {SEEDS} seeds. `-own` are"
    yield "sums in the storage precision, which a result declares; their worst case proves nothing at these sizes."
    yield "[Why there is no tolerance](../explanation/why_no_tolerance.md) says what the rules are.\n"
    yield "## All of W times 1 + v\n"
    yield "| precision | hidden | proven (`mismatch`) from v = | flagged from v = | by |"
    yield "|---|---:|---:|---:|---|"
    for precision in PRECISIONS:
        for size in hidden:
            if precision.endswith("-own") and size > LARGEST_OWN:
                continue
            yield f"| {precision} | {size} | {' | '.join(thresholds(precision, size))} |"
    yield "\n## Mistakes in low precisions\n"
    yield "Largest error / bound; beyond 1 the mistake is proven, whatever the order of summation.\n"
    yield f"| precision | hidden | {' | '.join(MISTAKES)} |"
    yield "|---|---:" + "|---:" * len(MISTAKES) + "|"
    for precision in ("bfloat16", "float16"):
        for size in hidden:
            case = case_of(size, precision, 0)
            verdicts = [judged(case, precision, change) for change in MISTAKES.values()]
            cells = [f"{max(row.score or 0.0 for row in verdict.rows):.2g}" for verdict in verdicts]
            yield f"| {precision} | {size} | {' | '.join(cells)} |"


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    parser.add_argument("--hidden", type=int, action="append", default=[])
    options = parser.parse_args()
    lines = []
    for line in page(tuple(options.hidden) or HIDDEN):
        print(line, flush=True)
        lines.append(line)
    if options.write:
        PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

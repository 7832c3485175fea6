"""Plants every mistake that a power statement claims, and counts the claims that are broken.

    python benchmarks/power_claims.py --seed 7 --cases 40
    python benchmarks/power_claims.py --cases 400 --write      the page docs/reference/power_claims.md

A statement is about a case, the quantities that were observed and the precision that judged them. Each of its claims is
planted in every implementation that can run it, and must be a mismatch of exactly that comparison.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import float32_lstm
import numpy as np
from honest_corpus import draw_kernel
from honest_kernels import Kernel
from honest_kernels import run as run_kernel
from mutated_runs import CASES, _torch, _worker

from lstm_xcheck.arrays import STORAGE, round_to
from lstm_xcheck.compare import judge
from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.compare.tanh_evidence import absolute_tanh
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.diagnose.detection_power import is_small, power
from lstm_xcheck.diagnose.discrepancy import Discrepancy
from lstm_xcheck.diagnose.mistake import Mistake, Outputs, changed_outputs, result_from
from lstm_xcheck.errors import SpecError, Unsupported, WorkerCrashed
from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.oracle import forward, profile_named

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "power_claims.md"

#: The precision that a case asks for, and the one that an implementation declares instead.
PRECISIONS = (
    ("float32", ""), ("float64", ""), ("float64", "float32"), ("float32", "bfloat16"), ("bfloat16", ""),
    ("float32", "float16"), ("float16", ""), ("float32", "tf32"), ("bfloat16", "bfloat16-own"),
)  # fmt: skip
#: What may be observed; lower layers' outputs are left out of everything but the first.
OBSERVED = (None, ("y", "h_n", "c_n"), ("y",), ("h_n",), ("c_n",), ("h_n", "c_n"), ("last",))


def stored_in(precision: str) -> str:
    """The precision in which a profile's numbers are stored."""
    name = precision.removesuffix("-own")
    return name if name in STORAGE else "float32"


def exact(case: Case, precision: str) -> Outputs:
    """The oracle's outputs, rounded once."""
    rounded = partial(round_to, precision=stored_in(precision))
    return {name: rounded(array) for name, array in observed_quantities(forward(case)).items()}


def kernel(case: Case, precision: str, arithmetic: Kernel) -> Outputs:
    """NumPy in one honest arithmetic, which stores the case's numbers in its precision first."""
    spec = case.spec
    if (spec.gate_clip, spec.cell_clip, spec.proj_clip) != (None, None, None):
        raise Unsupported("these kernels have no clips")
    return observed_quantities(run_kernel(replace(case, precision=stored_in(precision)), arithmetic))


def order32(case: Case, precision: str, order: str) -> Outputs:
    """Float32 in an order of summation, with every option of a spec."""
    if precision not in ("float32", "tf32"):
        raise Unsupported(f"{precision}: these runs are in float32")
    return observed_quantities(float32_lstm.run(case, order))


def framework(case: Case, precision: str, name: str) -> Outputs:
    """A real framework, asked for the precision that it is said to compute in."""
    if type(case.spec) is not LSTMSpec or precision not in STORAGE:
        raise Unsupported("no framework has this")
    # A float64 case keras-jax computes in float32.
    asked = case if name == "keras-jax" and precision == "float32" else replace(case, precision=precision)
    result = _torch().execute(asked) if name == "torch" else _worker(name).run(asked)
    if (result.computed_in or asked.precision) != precision:
        raise Unsupported(f"{name} computes in {result.computed_in}")
    return observed_quantities(result)


def implementations(names: Sequence[str], precision: str, case: Case, rng: np.random.Generator) -> dict[str, Any]:
    """Those that run one case."""
    arithmetic = draw_kernel(rng, precision if precision != "tf32" else "float32", case)
    emulated = {
        "kernels": partial(kernel, arithmetic=arithmetic),
        "orders": partial(order32, order=str(rng.choice(float32_lstm.ORDERS))),
    }
    return {"exact": exact, **emulated, **{name: partial(framework, name=name) for name in names}}


def observable(case: Case) -> Iterator[tuple[str, ...]]:
    """What may be observed of a case, each once."""
    everything = observed_quantities(forward(case))
    yield tuple(name for name in everything if name != "last" or case.returns == "last")
    yield from (names for names in OBSERVED[1:] if names is not None and set(names) != set(everything) - {"last"})


def is_caught(seen: Outputs, case: Case, precision: str, always_judge: bool) -> bool:
    """Whether it is a mismatch; the judge's own search for a precision is slow, and asked where in doubt."""
    if not always_judge and all(np.isfinite(array).all() for array in seen.values()):
        found = Discrepancy.of(seen, case, absolute_tanh(profile_named(precision)))
        if any(1.0 < score < float("inf") for score in found.scores.values()):
            return True
    return judge(replace(result_from(seen), computed_in=precision), case).verdict == "mismatch"


def planted(mistake: Mistake, case: Case, precision: str, run: Any) -> Outputs | None:
    """What the faulty implementation returns; None where it cannot be planted."""
    try:
        changed = mistake.change_case(case)
        raw = None if changed is None else run(changed, precision)
    except (Unsupported, SpecError, WorkerCrashed):
        return None
    return None if raw is None else changed_outputs([mistake], raw, case)


def score_case(
    case: Case, declared: str, runs: dict[str, Any], options: argparse.Namespace, rng: np.random.Generator
) -> Iterator[tuple[str, str, str]]:
    """(implementation, observed, outcome) of every claim of every statement, or of as many as are asked for."""
    precision = declared or case.precision
    statements = {names: power(case, observed=names, precision=precision) for names in observable(case)}
    claims = list(dict.fromkeys(id for statement in statements.values() for id in statement.caught))
    for label, run in runs.items():
        honest = planted(Mistake("none", "", "", "", family="none"), case, precision, run)
        if honest is None:
            continue
        for id in rng.permutation(claims)[: options.most]:
            with np.errstate(all="ignore"):
                outputs = planted(mistake_named(id), case, precision, run)
            if outputs is None:
                yield label, "any", "not planted: the implementation has no such LSTM"
                continue
            for names, statement in statements.items():
                if id not in statement.caught or any(name not in outputs for name in names):
                    continue
                seen = {name: outputs[name] for name in names}
                kept = is_caught(seen, case, precision, options.judge)
                yield label, ", ".join(names), "kept" if kept else f"BROKEN {id}"


def drawn_case(seed: int, index: int) -> tuple[Case, str, np.random.Generator]:
    """A case, the precision that is declared for it, and its generator."""
    rng = np.random.default_rng([seed, index])
    asked, declared = PRECISIONS[index % len(PRECISIONS)]
    while True:
        case = CASES[("probe", "user")[(index // len(PRECISIONS)) % 2]](rng)
        try:
            case = replace(case, precision=asked, id=f"{index}", returns=str(rng.choice(["sequence", "last"])))
        except SpecError:  # too large for float16
            continue
        if is_small(case):
            return case, declared, rng


def main() -> int:
    """Count, print, and write the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--through", default="torch", help="frameworks, such as torch,jax,keras-jax")
    parser.add_argument("--most", type=int, default=10_000, help="claims planted of each case and implementation")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--judge", action="store_true", help="ask the judge even where a score is beyond its bound")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    names = [name for name in options.through.split(",") if name]
    counts: Counter[tuple[str, str, str]] = Counter()
    broken: list[str] = []
    start, done = time.monotonic(), 0
    for index in range(options.first, options.first + options.cases):
        if time.monotonic() - start > 60.0 * options.minutes:
            break
        case, declared, rng = drawn_case(options.seed, index)
        judged = f"{case.precision} judged as {declared}" if declared else case.precision
        runs = implementations(names, declared or case.precision, case, rng)
        for label, observed, outcome in score_case(case, declared, runs, options, rng):
            counts[label, judged, outcome.partition(" ")[0]] += 1
            if outcome.startswith("BROKEN"):
                broken.append(f"case {index} ({judged}, {label}, observed {observed}): {outcome}")
                print(broken[-1], flush=True)
        done += 1
    text = page(counts, broken, done, options)
    print(text)
    if options.write:
        PAGE.write_text(text, encoding="utf-8")
    return 1 if broken else 0


def page(counts: Counter[tuple[str, str, str]], broken: Sequence[str], cases: int, options: argparse.Namespace) -> str:
    """The page of a run."""
    total = sum(number for (*_, outcome), number in counts.items() if outcome != "not")
    lines = [
        "# Power claims",
        "",
        "A power statement lists mistakes that its comparison would have caught: these quantities of this case, judged",
        "by this precision. Here every claim is planted in implementations and must be a mismatch of that comparison.",
        "Written by `python benchmarks/power_claims.py --write`.",
        "",
        f"{cases} cases of seed {options.seed}, half probes and half weights of users; observed are all quantities,",
        "all but lower layers' outputs, `y` alone, `h_n` alone, `c_n` alone, `h_n` and `c_n`, and `last` alone.",
        f"Of each case and implementation at most {options.most:,} claims are planted, drawn at random.",
        f"**{total:,} claims planted, {len(broken)} broken.**",
        "",
        "| implementation | precision | claims planted | broken | not expressible there |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for label, judged in sorted({key[:2] for key in counts}):
        kept, bad, absent = (counts[label, judged, outcome] for outcome in ("kept", "BROKEN", "not"))
        lines.append(f"| {label} | {judged} | {kept + bad:,} | {bad} | {absent:,} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())

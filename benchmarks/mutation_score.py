"""Counts how many mistakes are caught and named on fresh runs.

    python benchmarks/mutation_score.py --seed 7 --honest 500 --mutants 1000 --leave-out 100 --pairs 100
    python benchmarks/mutation_score.py --write      the page docs/reference/mutation_score.md

Half of the runs are on probes, half on weights as users have them, in every regime. Implementations are float32 NumPy
in six orders of summation (`--emulated`), and the real torch for half of the runs that it can express (`--real`).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from mutated_runs import Draw, score_cost, score_foreign, score_honest, score_mutants

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "mutation_score.md"

#: Headings of the sections.
SECTIONS = {
    "honest": "Honest runs",
    "single": "One mistake",
    "leave-out": "One mistake whose entry was taken out of the catalogue",
    "pair": "Two mistakes",
    "foreign": "Errors that are in no catalogue",
    "cost": "Cost at hidden 24",
}
#: Outcomes of a run in words, in the order of the page.
OUTCOMES = {
    "match": "not flagged",
    "flagged": "flagged",
    "inconclusive": "inconclusive: the oracle overflows float32",
    "overflow": "left out: float32 overflows",
    "equivalent to no mistake": "left out: makes no difference in float64",
    "below rounding": "left out: lost in the rounding of float32",
    "one hides the other": "left out: one mistake hides the other up to rounding",
    "refused": "left out: the output is constant",
    "missed": "missed",
    "right": "named right, or as what is the same thing on this case",
    "rival": "named as a rival that rounding cannot tell apart, the truth listed beside it",
    "within reach": "caught, within reach but not proven",
    "unexplained": "caught, unexplained",
    "misnamed": "misnamed",
}
LEFT_OUT = ("inconclusive", "overflow", "equivalent to no mistake", "below rounding", "one hides the other", "refused")

#: Options that say how many runs there are of each section.
COUNTED = ("honest", "mutants", "leave-out", "pairs", "foreign")
#: Runs on each case that is drawn.
ON_ONE_CASE = {"honest": 2, "single": 8, "leave-out": 2, "pair": 2, "foreign": 8}

#: The heading of the part of the page about real backends.
REAL = "## Through real backends\n"

#: A section, the kind of its cases, and the number of one.
Key = tuple[str, str, int]
Task = tuple[str, str, int, Draw]


def tasks(options: argparse.Namespace) -> Iterator[Task]:
    """The runs of all sections, interleaved for partial figures."""
    draw = Draw(options.seed, options.real, options.through)
    counts = {
        "honest": options.honest,
        "single": options.mutants,
        "leave-out": options.leave_out,
        "pair": options.pairs,
        "foreign": options.foreign,
    }
    shares = {section: -(-count // ON_ONE_CASE[section]) for section, count in counts.items()}
    done = dict.fromkeys(shares, 0)
    yield from (("cost", "probe", index, draw) for index in range(options.costs))
    for index in range(most := max(shares.values())):
        for section, share in shares.items():
            pace = 3 if section == "honest" else 1  # cheap ones first: all of them run in little time
            while done[section] * most < min(most, pace * (index + 1)) * share:
                kind = "any" if section == "foreign" else ("probe", "user")[done[section] % 2]
                yield section, kind, done[section], draw
                done[section] += 1


def run(task: Task) -> tuple[Task, list[dict[str, Any]]]:
    """The runs on one case, scored."""
    section, kind, index, draw = task
    if section == "honest":
        return task, score_honest(draw, kind, index, ON_ONE_CASE[section])
    if section == "foreign":
        return task, score_foreign(draw, index, ON_ONE_CASE[section])
    if section == "cost":
        return task, [score_cost(draw, index)]
    size = 2 if section == "pair" else 1
    return task, score_mutants(draw, kind, index, ON_ONE_CASE[section], size=size, leave_out=section == "leave-out")


class Tally:
    """Counts by section and kind of case."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], Counter[str]] = {}
        self.seconds: dict[str, list[float]] = {}
        self.stopped = False

    def add(self, key: Key, entry: dict[str, Any]) -> None:
        """Count one run."""
        section, kind, _ = key
        if section == "cost":
            for name, seconds in entry.items():
                self.seconds.setdefault(name, []).append(seconds)
            return
        self.counts.setdefault((section, kind), Counter())[entry["outcome"]] += 1

    def lines(self) -> Iterator[str]:
        """The score as Markdown."""
        kinds = {"probe": "designed probes", "user": "weights as users have them", "any": "tiny and usual cases"}
        for (section, kind), counts in sorted(self.counts.items(), key=lambda item: [*SECTIONS].index(item[0][0])):
            yield f"\n### {SECTIONS[section]}, {kinds[kind]}\n"
            yield from _table(counts)
        for name, seconds in self.seconds.items():
            if name == next(iter(self.seconds)):
                yield f"\n### {SECTIONS['cost']}\n"
            median, most = 1e3 * np.percentile(seconds, [50, 95])
            yield f"* {name}: median {median:.0f} ms processor time, 95 % within {most:.0f} ms ({len(seconds)} in all)"

    def text(self) -> str:
        """The score as one text."""
        return "\n".join(self.lines())

    @property
    def failed(self) -> bool:
        """Whether a run was flagged, missed or misnamed."""
        return any(counts[name] for counts in self.counts.values() for name in ("flagged", "missed", "misnamed"))


def _table(counts: Counter[str]) -> Iterator[str]:
    left_out = sum(counts[name] for name in LEFT_OUT)
    counted = counts.total() - left_out
    yield f"{counts.total()} runs, {counted} counted.\n"
    yield "| outcome | runs | of those counted |"
    yield "|---|---:|---:|"
    for name, words in OUTCOMES.items():
        expected = name in ("flagged", "missed", "misnamed") and (name == "flagged") == ("match" in counts)
        if counts[name] or expected:
            share = "" if name in LEFT_OUT else f"{100.0 * counts[name] / max(1, counted):.2f} %"
            yield f"| {words} | {counts[name]} | {share} |"


def score(options: argparse.Namespace) -> Tally:
    """Run all tasks until time is up; prints partial figures."""
    tally, start, last_print = Tally(), time.monotonic(), 0.0
    ended = Ended(options.resume, _draws(options)) if options.resume else None
    for key, entries in ended.runs.items() if ended else ():
        for entry in entries:
            tally.add(key, entry)
    left = (task for task in tasks(options) if not ended or task[:3] not in ended.runs)
    with get_context("spawn").Pool(options.jobs) as pool:
        for task, entries in pool.imap_unordered(run, left, chunksize=2):
            for entry in entries:
                tally.add(task[:3], entry)
                if entry.get("outcome") in options.show:
                    print(f"LOOK {task} {entry}", flush=True)
            if ended:
                ended.add(task[:3], entries)
            now = time.monotonic() - start
            tally.stopped = now > 60.0 * options.minutes
            if tally.stopped:
                break
            if now - last_print > options.tell:
                last_print = now
                print(f"--- after {last_print:.0f} s{tally.text()}", flush=True)
        pool.terminate()
    return tally


class Ended:
    """The runs of a file, one case in each line, to which others are added."""

    def __init__(self, file: Path, draws: str) -> None:
        if not file.exists():
            file.write_text(f"{json.dumps(draws)}\n", encoding="utf-8")
        first, *lines = file.read_text(encoding="utf-8").splitlines()
        if json.loads(first) != draws:
            sys.exit(f"{file} has runs of `{json.loads(first)}`, but these are `{draws}`: name another file")
        self.file = file.open("a", encoding="utf-8")
        self.runs: dict[Key, list[dict[str, Any]]] = {tuple(key): entries for key, entries in map(json.loads, lines)}

    def add(self, key: Key, entries: list[dict[str, Any]]) -> None:
        """Add what was counted or timed of one case."""
        counted = [{name: entry[name] for name in entry.keys() & {"outcome"}} or entry for entry in entries]
        print(json.dumps([key, counted]), file=self.file, flush=True)


def page(options: argparse.Namespace, tally: Tally) -> str:
    """The page of the reference, or its part about real backends."""
    how = "float32 NumPy in six orders of summation"
    how = f"the real {', '.join(options.through)}, each as often" if options.through else how
    how += ", and the real torch in half of the runs that it can express" if options.real else ""
    if options.through:
        return f"""{REAL}
The same on {how}: wrong weights, data and specs given to the frameworks
themselves, on cases that all of them have.
{tally.text().replace("### ", "#### ")}

{_ended(options, tally)} Reproduce with `{_command(options)}`{_how_far(tally)}.
"""
    return f"""# Mutation score

How many mistakes are caught and named, counted on fresh runs by `benchmarks/mutation_score.py`. The implementations
are {how}. Times were taken on a machine with two cores that was busy with other work.

* *Caught* is everything that is named, unexplained or misnamed; *missed* passed as a match though its effect is above
  rounding: more than twice the bound, or more than 12 standard deviations.
* *The same thing on this case* means outputs within 1e-12 of each other in float64, or the same data and the same
  weights but for the rounding of each mistake: 1 taken off a bias and 2 added is 1 added.
* *Misnamed* is a named cause that is not the truth while the truth is not listed among its rivals. With the entry
  taken out, anything named that is not the same thing is misnamed.
* *Within reach* is an answer without a cause that lists what would fit, but is not proven.
* *Errors that are in no catalogue* change single numbers, rows, gates, arrays, columns, inputs and states by 2^-24 to
  100 %, most of them tuned to a score near the bound, clip values, move units, or do two of this at once; y, the states
  or everything is observed. What is named, a fitted number as a rule, must compute the same on other data.
{tally.text()}

{_ended(options, tally)} Reproduce with `{_command(options)}`{_how_far(tally)}.
"""


def write(text: str, *, through: bool) -> None:
    """Replace one part of the page; the other is of another run."""
    page_text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    main_part, _, real_part = page_text.partition(REAL)
    if through:
        real_part = text.partition("\n")[2]
    else:
        main_part = text
    PAGE.write_text(f"{main_part.rstrip()}\n\n{REAL}{real_part}" if real_part else main_part, encoding="utf-8")


def _ended(options: argparse.Namespace, tally: Tally) -> str:
    return f"Seed {options.seed}, " + (f"stopped after {options.minutes:g} minutes." if tally.stopped else "all of it.")


def _how_far(tally: Tally) -> str:
    return "; how far it gets in that time depends on the machine" if tally.stopped else ""


def _command(options: argparse.Namespace) -> str:
    minutes = f" --minutes {options.minutes:g}" if np.isfinite(options.minutes) and not options.resume else ""
    return f"python benchmarks/mutation_score.py {_draws(options)}{minutes}"


def _draws(options: argparse.Namespace) -> str:
    """The options that say what is drawn."""
    counts = {name: getattr(options, name.replace("-", "_")) for name in ("seed", *COUNTED, "costs")}
    text = " ".join(f"--{name} {number}" for name, number in counts.items())
    through = f" --through {','.join(options.through)}" if options.through else ""
    return f"{text}{' --real' if options.real else ''}{through}"


def main() -> None:
    """Read the options, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 10**6, help="of every draw (default: the clock)")
    parser.add_argument("--honest", type=int, default=500)
    parser.add_argument("--mutants", type=int, default=1000)
    parser.add_argument("--leave-out", type=int, default=100, help="mutants whose own entry is taken out")
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--foreign", type=int, default=400, help="errors that are in no catalogue")
    parser.add_argument("--costs", type=int, default=40, help="diagnoses that are timed")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long, with what there is")
    parser.add_argument("--resume", type=Path, metavar="FILE",
                        help="a file of ended runs: they are not repeated, and others are added")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tell", type=float, default=60.0, help="seconds between partial figures")
    parser.add_argument("--show", type=lambda text: text.split(","), default=["flagged", "missed", "misnamed"],
                        help="outcomes to print one by one")  # fmt: skip
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--real", action="store_true", help="real torch where it can express the run, half of the time")
    kinds.add_argument("--emulated", dest="real", action="store_false", help="NumPy alone (the default)")
    kinds.add_argument("--through", type=lambda text: tuple(text.split(",")), default=(), metavar="NAMES",
                       help="these real backends alone, such as torch,jax")  # fmt: skip
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    tally = score(options)
    print(tally.text())
    if options.write:
        write(page(options, tally), through=bool(options.through))
    sys.exit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()

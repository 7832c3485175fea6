"""Measures the driver's memory over a sweep of 20,000 cheap cases.

    python benchmarks/sweep_memory.py [CASES]

Prints resident memory as the sweep goes on, and ends with exit code 1 when it is above the limit or still growing.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from lstm_xcheck.adapters import Entry
from lstm_xcheck.engine import Plan, grid, run
from lstm_xcheck.events import Outcome
from lstm_xcheck.report import Report
from lstm_xcheck.report.json_file import write_report

LIMIT_MIB = 400
#: Growth from the first fifth of the sweep to its end that is still noise.
GROWTH_MIB = 40

ADAPTER = '''
from lstm_xcheck.model import Result

class Silent:
    """Answers with zeros at once, so that the driver is measured."""

    layout = "torch"

    def __init__(self, name):
        self.name = name

    def environment(self):
        return {}

    def unsupported(self, case):
        return None

    def computes_in(self, case):
        return case.precision, ""

    def build(self, spec, precision):
        return {}

    def load(self, model, arrays):
        model.update(arrays)

    def read_back(self, model):
        return dict(model)

    def count_parameters(self, model):
        return sum(array.size for array in model.values())

    def run(self, model, case):
        y = 0 * case.x[..., :1]
        return Result(y=y, h_n=y[None, :, -1], c_n=y[None, :, -1])
'''


def resident_mib() -> float:
    """Resident memory of this process now."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 2**20
    return peak_mib()


def peak_mib() -> float:
    """Peak resident memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def main(cases: int) -> int:
    """Run, print, compare with the limits."""
    recipes = tuple(grid(hidden=1, input=1, steps=2, batch=1, states=False, seeds=cases))
    print(f"{cases:,} recipes: {resident_mib():.0f} MiB resident")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "silent_adapter.py").write_text(ADAPTER, encoding="ascii")
        entry = Entry("silent", "silent_adapter:Silent", path=(folder,))
        report, early, start = Report(), 0.0, time.perf_counter()
        for event in run(Plan(recipes, (entry,), jobs=2, diagnoses=0)):
            report.handle(event)
            ended = len(report.outcomes)
            if isinstance(event, Outcome) and ended % (cases // 5) == 0:
                early = early or resident_mib()
                print(f"{ended:>8,} cells: {resident_mib():.0f} MiB, {time.perf_counter() - start:.1f} s")
        late, peak = resident_mib(), peak_mib()
        print(f"totals {report.totals}")
        for suffix in ("json", "xml", "html"):
            write_report(report, Path(folder, f"report.{suffix}"))
            print(f"{suffix} report: {Path(folder, f'report.{suffix}').stat().st_size / 2**20:.1f} MiB")
    print(f"sweep: peak {peak:.0f} MiB, grown by {late - early:.0f} MiB since the first fifth")
    print(f"with reports: peak {peak_mib():.0f} MiB")
    return int(peak > LIMIT_MIB or late - early > GROWTH_MIB)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))

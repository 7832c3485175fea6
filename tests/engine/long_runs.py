"""A command line with the adapters in NumPy, and reports without times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lstm_xcheck.report import Report

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def environment(folder: Path, names: tuple[str, ...] = ("Honest", "Lossy", "Faulty")) -> dict[str, str]:
    """Variables under which `python -m lstm_xcheck` has faulty adapters, as from a plugin."""
    plugin = folder / "numpy_adapters-1.0.dist-info"
    plugin.mkdir(parents=True, exist_ok=True)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy-adapters\nVersion: 1.0\n", encoding="ascii")
    points = "".join(f"{name.lower()} = faulty_adapters:{name}\n" for name in names)
    (plugin / "entry_points.txt").write_text(f"[lstm_xcheck.adapters]\n{points}", encoding="ascii")
    paths = [str(ROOT), str(folder), str(HERE)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "FAULTY_FOLDER": str(folder), "NO_COLOR": "1"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lstm_xcheck", *arguments]


def ran(variables: dict[str, str], *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON on stdout, and stderr of a command line."""
    run = subprocess.run(
        command(*arguments, "--json"), env=variables, capture_output=True, text=True, timeout=300, check=False
    )
    return run.returncode, json.loads(run.stdout) if run.stdout else {}, run.stderr


def content(report: Report | dict[str, Any]) -> dict[str, Any]:
    """The content of a report, sorted.

    Times, diagnoses and power are left out: which cases those are of depends on which ended first.
    """
    data = report.to_dict() if isinstance(report, Report) else dict(report)
    del data["diagnoses"], data["power"]
    order = ("case", "adapter", "quantity")
    for part in ("rows", "parameter_counts"):
        data[part] = sorted(data[part], key=lambda row: [row.get(key, "") for key in order])
    data["environment"] = {key: value for key, value in data["environment"].items() if key != "seconds"}
    return data

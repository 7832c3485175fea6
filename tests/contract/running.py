"""Runs the contract of adapters, and installs the example that it is shown on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import lstm_xcheck as lx

from ..helpers import ROOT

EXAMPLE = ROOT / "examples" / "third_party_adapter"
SUITE = "lstm_xcheck.adapter_contract"

Outcomes = dict[str, str]


def environment(*path: Path) -> dict[str, str]:
    """Environment of a process that finds this package, and these folders."""
    places = [str(place) for place in (Path(str(lx.__file__)).parents[1], *path)]
    places += filter(None, [os.environ.get("PYTHONPATH")])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTEST_ADDOPTS": ""}


def contract_outcomes(
    adapters: str, folder: Path, *options: str, checks: tuple[str, ...] = (), path: tuple[Path, ...] = ()
) -> Outcomes:
    """Test of the contract -> "passed", or the message of its skip or failure, from a pytest of its own."""
    xml = folder / "contract.xml"
    plugin = ("-p", "lstm_xcheck.pytest_plugin", "-p", "no:cacheprovider", "-p", "no:xdist", "-q", f"--junitxml={xml}")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, *options, "--xcheck-adapters", adapters,
         "--pyargs", *([f"{SUITE}::{check}" for check in checks] or [SUITE])],
        env=environment(*path), cwd=folder, capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip
    assert ran.returncode in (0, 1), ran.stdout[-3000:] + ran.stderr[-3000:]
    found = {}
    for test in ET.parse(xml).iter("testcase"):
        bad = [f"{child.tag}: {child.get('message')}" for child in test if child.tag in ("skipped", "failure", "error")]
        found[test.attrib["name"]] = bad[0] if bad else "passed"
    return found


def failures(outcomes: Outcomes) -> Outcomes:
    """Failed tests, with their messages."""
    return {name: text for name, text in outcomes.items() if text.startswith(("failure", "error"))}


def install_example(folder: Path, old: str = "", new: str = "") -> Path:
    """Install a copy of the example, with one change to its adapter, without a network; where it was installed."""
    source, site = folder / "source", folder / "site"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    adapter = source / "tiny_lstm" / "adapter.py"
    text = adapter.read_text(encoding="utf-8")
    assert old in text
    adapter.write_text(text.replace(old, new) if old else text, encoding="utf-8")
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *offline, "--target", site, source],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return site

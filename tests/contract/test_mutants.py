"""The contract of adapters holds for an honest one, and every check catches the adapter that breaks it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import pytest

import lstm_xcheck as lx

from ..helpers import ROOT

HERE = Path(__file__).parent
EXAMPLE = ROOT / "examples" / "third_party_adapter"
SUITE = "lstm_xcheck.adapter_contract"

Outcomes = dict[str, str]


def contract_outcomes(
    adapters: str, folder: Path, *options: str, checks: tuple[str, ...] = (), path: tuple[Path, ...] = ()
) -> Outcomes:
    """Test of the contract -> "passed", or the message of its skip or failure, from a pytest of its own."""
    xml = folder / "contract.xml"
    plugin = ("-p", "lstm_xcheck.pytest_plugin", "-p", "no:cacheprovider", "-p", "no:xdist", "-q", f"--junitxml={xml}")
    places = [str(place) for place in (Path(str(lx.__file__)).parents[1], *path)]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, *options, "--xcheck-adapters", adapters,
         "--pyargs", *([f"{SUITE}::{check}" for check in checks] or [SUITE])],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTEST_ADDOPTS": ""},
        cwd=folder, capture_output=True, text=True, check=False, timeout=600,
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


def _mutants() -> ModuleType:
    """The plugin's table, without its registrations in this process."""
    spec = importlib.util.spec_from_file_location("contract_mutants", HERE / "mutants.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLE))
        patch.setattr(lx, "register_adapter", lambda *_args, **_options: None)
        spec.loader.exec_module(module)
    return module


CHECKS: dict[str, str] = {name: check.format(name) for name, (_, check) in _mutants().MUTANTS.items()}


PLUGIN = ("-p", "mutants")


@pytest.fixture(scope="module")
def of_mutants(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Each mutant in the check that is meant for it."""
    folder, checks = tmp_path_factory.mktemp("mutants"), tuple(CHECKS.values())
    return contract_outcomes(",".join(CHECKS), folder, *PLUGIN, checks=checks, path=(EXAMPLE, HERE))


def test_an_honest_adapter_passes(tmp_path: Path) -> None:
    outcomes = contract_outcomes("honest", tmp_path, *PLUGIN, path=(EXAMPLE, HERE))
    assert failures(outcomes) == {}
    assert list(outcomes.values()).count("passed") >= 25
    assert {check.replace(mutant, "honest") for mutant, check in CHECKS.items()} <= set(outcomes)


@pytest.mark.parametrize("mutant", CHECKS)
def test_a_broken_adapter_fails_the_check_that_is_meant_for_it(of_mutants: Outcomes, mutant: str) -> None:
    assert CHECKS[mutant] in failures(of_mutants)


def test_an_adapter_that_is_not_installed_is_no_success(tmp_path: Path) -> None:
    outcomes = contract_outcomes("absent", tmp_path, *PLUGIN, path=(EXAMPLE, HERE))
    assert list(failures(outcomes)) == ["test_adapters_that_were_asked_for_are_installed"]
    assert "passed" not in outcomes.values()

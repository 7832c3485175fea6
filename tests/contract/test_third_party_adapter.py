"""The example of an adapter outside this package: installed, it runs by its entry point; broken, it is found out."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from ..conftest import needs
from ..helpers import ROOT
from .running import EXAMPLE, contract_outcomes, environment, failures, install_example

#: Changes to the adapter -> what is said of them.
BREAKS = {
    "gate-order": ('order="ofig"', 'order="ofgi"', "gates i and g exchanged in W, U and b"),
    "backward": ("backward=spec.is_backward(direction)", "backward=False", "backward direction reads forward"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the example is installed."""
    needs("setuptools")
    if PathFinder.find_spec("pip") is None:  # setuptools warns whoever asks otherwise after an import of distutils
        pytest.skip("needs pip")
    return install_example(tmp_path_factory.mktemp("example"))


def verify(site: Path) -> tuple[int, str]:
    """Exit code and output of `lstm-xcheck verify --adapters tiny --preset quick`."""
    done = subprocess.run(
        [sys.executable, "-m", "lstm_xcheck", "verify", "--adapters", "tiny", "--preset", "quick"],
        env=environment(site), capture_output=True, text=True, check=False, timeout=300, cwd=site,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_example_keeps_the_contract(site: Path, tmp_path: Path) -> None:
    outcomes = contract_outcomes("tiny", tmp_path, path=(site,))
    assert failures(outcomes) == {}
    assert list(outcomes.values()).count("passed") >= 25


def test_the_example_is_verified(site: Path) -> None:
    code, printed = verify(site)
    assert (code, "AGREE: 11 planned = 11 match" in printed) == (0, True), printed


@pytest.mark.parametrize("fault", BREAKS)
def test_a_broken_copy_is_found_and_its_mistake_named(tmp_path: Path, fault: str) -> None:
    needs("setuptools")
    if PathFinder.find_spec("pip") is None:  # setuptools warns whoever asks otherwise after an import of distutils
        pytest.skip("needs pip")
    old, new, cause = BREAKS[fault]
    code, printed = verify(install_example(tmp_path, old, new))
    assert (code, cause in printed) == (1, True), printed


def test_the_adapter_is_short() -> None:
    assert len((EXAMPLE / "tiny_lstm" / "adapter.py").read_text(encoding="utf-8").splitlines()) < 120


PAGE = (ROOT / "docs" / "how-to" / "add_an_adapter.md").read_text(encoding="utf-8")
_PYTHON = re.compile(r"^<!-- from: (\S+) -->\n+```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CONSOLE = re.compile(r"^```console\n\$ (pytest [^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_code_on_the_page_is_that_of_the_example() -> None:
    parts = _PYTHON.findall(PAGE)
    assert len(parts) == PAGE.count("```python") >= 3
    for name, code in parts:
        assert code in (EXAMPLE / name).read_text(encoding="utf-8"), f"{name} has no\n{code}"


def test_the_last_command_of_the_page_prints_what_it_shows(site: Path) -> None:
    ((command, shown),) = _CONSOLE.findall(PAGE)
    assert PAGE.rstrip().endswith("```") and PAGE.rindex(command) > PAGE.rindex("\n## 6. ")
    program, *arguments = shlex.split(command)
    plugin = ("-p", "lstm_xcheck.pytest_plugin", "-p", "no:cacheprovider", "-p", "no:xdist")
    done = subprocess.run(
        [sys.executable, "-m", program, *plugin, *arguments],
        env=environment(site), capture_output=True, text=True, check=False, timeout=300, cwd=site,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    for line in shown.splitlines():
        assert re.sub(r" in [\d.]+s", "", line) in done.stdout

"""The contract of adapters holds for an honest one, and every check catches the adapter that breaks it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import lstm_xcheck as lx

from .running import EXAMPLE, Outcomes, contract_outcomes, failures

HERE = Path(__file__).parent


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

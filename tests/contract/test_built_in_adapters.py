"""Every built-in adapter whose framework is installed keeps the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from lstm_xcheck.adapters.table import BUILT_IN

from ..conftest import needs
from .running import contract_outcomes, failures

ENTRIES = {entry.name: entry for entry in BUILT_IN}


@pytest.mark.slow
@pytest.mark.framework
@pytest.mark.parametrize("name", ENTRIES)
def test_a_built_in_adapter_keeps_the_contract(name: str, tmp_path: Path) -> None:
    needs(*ENTRIES[name].requires)
    outcomes = contract_outcomes(name, tmp_path)
    assert failures(outcomes) == {}
    assert list(outcomes.values()).count("passed") >= 20

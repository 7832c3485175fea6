"""Plans: what they need, which adapters they have, and when those compile."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lstm_xcheck as lx
from lstm_xcheck.adapters import Entry
from lstm_xcheck.engine import Plan, Recipe, choose_entries, grid, with_compiling
from lstm_xcheck.errors import NothingComparedError

HERE = str(Path(__file__).parent)
HONEST = Entry("honest", "faulty_adapters:Honest", path=(HERE,))


def seeds(number: int, **fields: int) -> list[Recipe]:
    return grid(**fields, seeds=number)


def test_a_plan_needs_cases_adapters_and_unique_ids() -> None:
    entry = Entry("any", "module:Class")
    with pytest.raises(NothingComparedError, match="there is no case"):
        Plan((), (entry,))
    with pytest.raises(NothingComparedError, match=r"pip install 'lstm-xcheck\[torch\]'"):
        Plan((Recipe(),), ())
    with pytest.raises(NothingComparedError, match="two cases have the id"):
        Plan((Recipe(), Recipe()), (entry,))


def test_a_label_runs_the_adapter_it_ends_with_by_its_own_interpreter() -> None:
    (entry,) = choose_entries(["old-torch"], {"old-torch": sys.executable})
    assert (entry.name, entry.target) == ("old-torch", "lstm_xcheck.adapters.torch.nn:TorchNN")


def test_adapters_compile_where_shapes_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry("any", "module:Class", variables={"A": "1"}, when_repeated={"LSTM_XCHECK_SPEED": "fast"})
    variables = {number: with_compiling([entry], seeds(number, hidden=3))[0].variables for number in (1, 3, 4, 10)}
    assert variables[1] == variables[3] == {"A": "1"}
    assert variables[4] == variables[10] == {"A": "1", "LSTM_XCHECK_SPEED": "fast"}
    assert with_compiling([HONEST], seeds(10, hidden=3)) == (HONEST,)
    monkeypatch.setenv("LSTM_XCHECK_SPEED", "what the user wants")
    assert with_compiling([entry], seeds(10, hidden=3)) == (entry,)


@pytest.mark.framework("tensorflow", "keras")
def test_every_way_to_run_a_sweep_sets_adapters_to_compile() -> None:
    with ThreadPoolExecutor(1) as executor:
        reports = [
            lx.verify(seeds(4, hidden=2), ["keras-tensorflow"]),
            lx.verify_grid(seeds(4, hidden=2), ["keras-tensorflow"], executor=executor),
            lx.verify_grid(seeds(1, hidden=2), ["keras-tensorflow"]),
        ]
    assert [report.exit_code for report in reports] == [0, 0, 0]
    environments = [json.loads(report.to_json())["environment"]["adapters"]["keras-tensorflow"] for report in reports]
    graphs = "in graphs of tf.function, without Grappler"
    assert [versions.get("runs") for versions in environments] == [graphs, graphs, None]

"""Data frames and plots hold the numbers of the report; where a library is missing, the error says what to install."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.compare import Row
from lstm_xcheck.events import Outcome, Planned
from lstm_xcheck.report import Report

from .test_results import CASE, SPEC, report

PLOTS = pytest.mark.framework("matplotlib")


@pytest.fixture
def pyplot(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


@pytest.mark.framework("pandas")
def test_a_data_frame_of_pandas() -> None:
    frame = report().to_dataframe()
    assert list(frame["quantity"]) == [row.quantity for row in report().rows]
    assert frame["score"].tolist() == [row.score for row in report().rows]
    assert set(frame["adapter"]) == {"mine"}


@pytest.mark.framework("polars")
def test_a_data_frame_of_polars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    frame = report().to_dataframe()
    assert type(frame).__module__.startswith("polars")
    assert frame["score"].to_list() == [row.score for row in report().rows]


def test_a_missing_library_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pandas", "polars", "matplotlib"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(lx.UserError, match="run: pip install pandas"):
        report().to_dataframe()
    with pytest.raises(lx.UserError, match=r"run: pip install 'lstm-xcheck\[plot\]'"):
        report().plot()


@PLOTS
def test_the_plot_of_a_report_has_a_point_for_every_row(pyplot: Any) -> None:
    axes = report().plot()
    points, bound = axes.lines
    np.testing.assert_array_equal(points.get_xdata(), [row.score for row in report().rows])
    assert list(points.get_ydata(orig=True)) == [0] * len(report().rows)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["mine"]
    assert list(axes.texts) == []
    assert set(bound.get_xdata()) == {1.0}
    assert axes.get_xscale() == "log"
    given = pyplot.subplots()[1]
    assert report().plot(given) is given


@PLOTS
@pytest.mark.usefixtures("pyplot")
def test_an_adapter_without_numbers_has_a_line_with_the_reason() -> None:
    crash, refusal = "died of signal 11" + 20 * " and 11", "one layer only"
    told = (("a", "crashed", crash, None), ("b", "match", "", 0.5), ("c", "unsupported", refusal, None))
    rows = [Row("h1", name, "", verdict, score=score, reason=reason) for name, verdict, reason, score in told]  # type: ignore[arg-type]
    ended = [Outcome("h1", row.adapter, (row,)) for row in rows]
    axes = Report.of([Planned(4, 1, ("a", "b", "c", "never")), *ended]).plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c", "never"]
    texts = {text.get_position()[1]: text.get_text() for text in axes.texts}
    assert len(texts[0]) <= 80 and texts.pop(0).startswith(f"crashed: {crash[:60]}")
    assert texts == {2: "unsupported: one layer only", 3: "no case ended"}
    assert axes.lines[0].get_ydata(orig=True) == [1]


@PLOTS
def test_the_plot_of_a_trace_has_a_line_for_every_unit(pyplot: Any) -> None:
    run = lx.trace(CASE)
    axes = run.plot(row=1)
    for name, panel in zip(("i", "f", "g", "o", "c", "h"), axes.flat, strict=True):
        assert panel.get_ylabel() == name
        assert len(panel.lines) == SPEC.hidden_size
        np.testing.assert_array_equal(panel.lines[1].get_ydata(), getattr(run.cells[0][0], name)[1, :, 1])
    assert [len(panel.lines) for panel in run.plot(units=[1]).flat] == [1] * 6
    assert len(pyplot.get_fignums()) == 2


@PLOTS
@pytest.mark.usefixtures("pyplot")
@pytest.mark.parametrize("choice", [{"row": 3}, {"layer": 1}, {"direction": 1}, {"units": [2]}], ids=str)
def test_what_is_not_there_is_not_plotted(choice: dict[str, Any]) -> None:
    with pytest.raises(lx.UserError, match="but should be from 0 to"):
        lx.trace(CASE).plot(**choice)

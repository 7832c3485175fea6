"""Makes the pictures of the HTML report in docs/images, from a run with planted mistakes.

python docs/screenshots.py [CHROMIUM]
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import lstm_xcheck as lx
from lstm_xcheck.arrays import Array
from lstm_xcheck.compare import Row, VerdictName
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.diagnose.mistake import Outputs, run_mistakes
from lstm_xcheck.engine.recipe import make_case
from lstm_xcheck.events import Finished, Outcome, Planned
from lstm_xcheck.oracle import forward
from lstm_xcheck.report import Report
from lstm_xcheck.report.detection_power import statements
from lstm_xcheck.report.json_file import write_report

IMAGES = Path(__file__).parent / "images"
#: Name, width, height, colours, and what is scrolled to.
SHOTS = (
    ("report-light", 1100, 820, "light", ""),
    ("report-dark", 1100, 820, "dark", "#diagnosis-{}"),
    ("report-narrow", 390, 844, "light", ""),
)

Function = Callable[..., tuple[Array, ...]]


def report() -> Report:
    """Every verdict that a reader meets: matches, named mistakes, an unexplained one, crashes, unsupported cases."""
    cases = [
        make_case(recipe)
        for recipe in lx.grid(hidden=[4], input=[3], steps=[12], directions=[1, 2], bias=["split", "none"])
    ]
    own: dict[str, Function] = {
        "right": lambda *given: _float32(_right(*given)),
        "swapped-gates": _planted("gates-ifog"),
        "forget-bias": _planted("bias-plus-1-f"),
        "drifting": _drifting,
    }
    ran = lx.verify(cases, own)
    reasons: tuple[tuple[str, VerdictName, str], ...] = (
        ("crashing", "crashed", "raised RuntimeError: no kernel for this size"),
        ("small", "unsupported", "initial states are not supported; use another adapter"),
    )
    others = [
        Outcome(case.id, name, (Row(case.id, name, "", verdict, reason=reason),))
        for name, verdict, reason in reasons
        for case in cases[: 2 if name == "crashing" else None]
    ]
    names = (*own, *(name for name, _, _ in reasons))
    order = tuple(case.id for case in cases)
    events = [
        Planned(len(ran.outcomes) + len(others), len(cases), names, order=order, families=ran.families),
        *ran.outcomes, *others, Finished(3.2),
    ]  # fmt: skip
    whole = Report.of(events)
    whole.subject = {"command": {"verify": "lstm-xcheck verify", "adapters": {}}}
    whole.power = statements(cases, whole)
    return whole


def _right(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Outputs:
    result = forward(lx.Case(weights=weights, x=x, h0=h0, c0=c0, lengths=lengths))
    assert result.y is not None and result.h_n is not None and result.c_n is not None
    return {"y": result.y, "h_n": result.h_n, "c_n": result.c_n}


def _float32(outputs: Outputs) -> tuple[Array, ...]:
    return tuple(outputs[name].astype(np.float32) for name in ("y", "h_n", "c_n"))


def _planted(mistake: str) -> Function:
    def function(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> tuple[Array, ...]:
        case = lx.Case(weights=weights, x=x, h0=h0, c0=c0, lengths=lengths)
        outputs = run_mistakes([mistake_named(mistake)], case)
        return _float32(outputs or _right(weights, x, h0, c0, lengths))

    return function


def _drifting(weights: Any, *given: Any) -> tuple[Array, ...]:
    """With biases, unit 1 is off from step 4 on, by more at each step."""
    y, h_n, c_n = (array.copy() for array in _float32(_right(weights, *given)))
    if weights.spec.bias != "none":
        y[:, 4:, 1] += (1e-5 * 4.0 ** np.arange(y.shape[1] - 4)).astype(np.float32)
    return y, h_n, c_n


def main(chromium: str) -> None:
    """Write the pictures."""
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(exist_ok=True)
    whole = report()
    located = next(
        place for place, found in enumerate(whole.diagnoses) if found["profile"].get("gates") and not found["cause"]
    )
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        write_report(whole, file)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, width, height, colours, place in SHOTS:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=colours)
            page.goto(file.as_uri() + place.format(located))
            page.wait_for_selector("body[data-ready]")
            page.screenshot(path=IMAGES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(*(sys.argv[1:] or [shutil.which("chromium") or "chromium"]))

"""`lstm-xcheck fuzz`: look for a disagreement, shrink it, name it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("fuzz")
@click.option("--adapters", metavar="A,B", help="Adapters to search; default: all whose framework is installed.")
@click.option(
    "--adapter", "functions", multiple=True, metavar="NAME=MODULE:FUNCTION", help="Search a function of your own."
)
@click.option("--grid", "grid_text", metavar="AXES", help='Draw these values only: "layers=1 bias=split,single".')
@click.option("--minutes", type=click.FloatRange(min=0.01), default=1.0, metavar="N", help="How long.  [default: 1]")
@click.option("--examples", type=click.IntRange(min=1), metavar="N", help="Cases at most.  [default: no limit]")
@click.option("--seed", type=click.IntRange(min=0), default=0, metavar="S", help="Draw other cases.  [default: 0]")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=30.0, metavar="S", help="Seconds for one case.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE.py", help="The pytest file.  [default: test_xcheck_NAME.py]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout and nothing else.")
def command(**options: Any) -> int:
    """Draw LSTMs of all sizes, options and regimes of weights until an implementation disagrees with the oracle.

    The disagreement is shrunk to the smallest case that still shows it, its mistake is named, and a pytest file that
    reproduces it is written; that file needs NumPy and the implementation, not lstm-xcheck. A function of your own
    takes (weights, x, h0, c0, lengths) and returns y, h_n, c_n; it raises NotImplementedError for what it lacks.
    Needs hypothesis. Exit code 1 when something was found, 0 when not, 2 when nothing could be run.
    """
    from .. import strategies  # noqa: F401 - first, since it says how to install hypothesis
    from .fuzz_run import run_fuzz

    return run_fuzz(**options)

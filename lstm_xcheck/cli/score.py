"""`score`: how many mistakes of an LSTM a test suite would catch."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

import click

from ..errors import UserError

if TYPE_CHECKING:
    from ..scoring import Score


@click.command("score")
@click.option("--host", type=click.Choice(["torch", "keras", "jax", "onnx"]), required=True, help="Who makes mistakes.")
@click.option("--pytest", "target", metavar="TARGET", help="The suite: what to tell pytest, in quotes.")
@click.option("--onnx-node-tests", "node_tests", is_flag=True, help="The suite: the LSTM tests of ONNX itself.")
@click.option("--family", "families", multiple=True, metavar="F", help="Only mistakes of this family, such as gates.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Only N mistakes, always the same ones.")
@click.option("--budget", type=click.FloatRange(min=0.0), metavar="MINUTES", help="Stop after so long.")
@click.option(
    "--timeout", type=click.FloatRange(min=1.0), default=600.0, metavar="S", help="Seconds for a run.  [default: 600]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def command(
    host: str, target: str | None, node_tests: bool, families: tuple[str, ...], sample: int | None,
    budget: float | None, timeout: float, as_json: bool,
) -> None:  # fmt: skip
    """Count the mistakes that a test suite would catch,
    by planting each in the framework that it tests.

    The LSTM of the framework computes wrongly, in the process of the suite alone, and the suite runs: a mistake is
    caught if a test fails. Whether a mistake survives since it has no effect on the data of the suite, since nothing is
    compared, or since the tolerance is wide is told for each, with a case that would show it.

    For example: lstm-xcheck score --host torch --pytest "tests/test_model.py -k lstm"
    """
    from rich.console import Console

    from .output import print_json

    tests = _arguments(host, target, node_tests)
    from ..scoring import Suite, score

    suite = Suite(host, tests, timeout)
    start, console = time.monotonic(), Console(stderr=True)
    with console.status("running the suite without a mistake") as status:

        def progress(done: int, planned: int) -> None:
            left = (time.monotonic() - start) / done * (planned - done) if done else 0.0
            status.update(f"{done} of {planned} mistakes planted" + (f", {left:.0f} s left" if done else ""))

        seconds = float("inf") if budget is None else 60.0 * budget
        found = score(suite, families=families, sample=sample, seconds=seconds, progress=progress)
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)


def _arguments(host: str, target: str | None, node_tests: bool) -> tuple[str, ...]:
    """What to tell pytest."""
    if node_tests == (target is not None):
        raise UserError('one of --pytest TARGET and --onnx-node-tests says which suite to run; give --pytest "tests"')
    if node_tests and host != "onnx":
        raise UserError(f"--onnx-node-tests are tests of ONNX, but --host is {host}; give --host onnx")
    _check_installed("pytest")
    from ..scoring import HOSTS, ONNX_NODE_TESTS

    _check_installed(*HOSTS[host].modules)
    try:
        return (ONNX_NODE_TESTS,) if target is None else tuple(shlex.split(target))
    except ValueError as fault:
        raise UserError(f"--pytest {target} is no command line ({fault}); quote it as in a shell") from fault


def _check_installed(*modules: str) -> None:
    """One of them is enough."""
    from ..adapters.entry import is_found

    if not any(map(is_found, modules)):
        raise UserError(f"a score needs {' or '.join(modules)}, which this Python does not have; install it with pip")


def _print(found: Score) -> None:
    from rich.console import Console

    from .output import plain_table

    console = Console(highlight=False)
    table = plain_table("family", "caught", "of", right=("caught", "of"))
    for family, caught, counted in found.by_family():
        table.add_row(family, str(caught), str(counted))
    table.add_row("all", str(len(found.caught)), str(len(found.caught) + len(found.survivors)))
    console.print(table)
    for line in found.lines():
        console.print(line, markup=False, soft_wrap=not console.is_terminal)

"""`lstm-xcheck diagnose`: which mistake explains these outputs?"""

from __future__ import annotations

from pathlib import Path

import click


@click.command("diagnose")
@click.argument("weights", type=click.Path(path_type=Path))
@click.argument("observed", type=click.Path(path_type=Path))
@click.option("--layer-name", metavar="NAME", help="Which LSTM of WEIGHTS, where it holds several.")
@click.option("--no-pairs", is_flag=True, help="Do not look for two mistakes at once.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(weights: Path, observed: Path, layer_name: str | None, no_pairs: bool, as_json: bool) -> int:
    """Name the mistake that explains OBSERVED, given the checkpoint WEIGHTS.

    OBSERVED is an .npz or .safetensors file with x (batch, steps, input) and y (batch, steps, output), and where you
    have them h0, c0, h_n, c_n (layers * directions, batch, width), lengths (batch), and layer0.y, layer1.y ... for the
    outputs of lower layers. Exit code 0 when nothing is wrong, 1 when something is, explained or not.
    """
    from .diagnose_run import run_diagnose

    return run_diagnose(weights, observed, layer_name, not no_pairs, as_json)

"""`lstm-xcheck port`: one framework's checkpoint as another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("port")
@click.argument("src", type=click.Path(path_type=Path))
@click.argument("dst", type=click.Path(path_type=Path))
@click.option("--to", metavar="FORMAT", help="What to write, such as torch or keras; default: by the suffix of DST.")
@click.option("--layer", metavar="NAME", help="Port this LSTM alone and leave the rest out.")
@click.option(
    "--rename", "renames", multiple=True, metavar="OLD=NEW", help="Give a layer another name; a,b=NEW makes one stack."
)
@click.option("--like", type=click.Path(path_type=Path), metavar="FILE", help="Fill the LSTMs of this checkpoint.")
@click.option("--force", is_flag=True, help="Replace DST if it exists.")
@click.option("--lstm-only", is_flag=True, help="Leave all other layers out.")
@click.option("--without", multiple=True, metavar="CLIP", help="Leave out cell_clip, gate_clip or proj_clip.")
@click.option("--layout", metavar="NAME", help="The layout of SRC, where its names do not say it.")
@click.option("--json", "as_json", is_flag=True, help="Print the certificate on stdout and nothing else.")
def command(**options: Any) -> int:
    """Write SRC as DST, for another framework, and verify it: LSTMs and the layers beside them.

    DST is read back and compared bit for bit before it gets its name; then both are run and judged. The proof is kept
    in DST.xcheck.json; `recheck` repeats it. For example: lstm-xcheck port model.keras model.pt
    """
    from .port_run import run_port

    return run_port(**options)

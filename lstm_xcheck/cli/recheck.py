"""`lstm-xcheck recheck`: a certificate once more."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("recheck")
@click.argument("certificate", type=click.Path(path_type=Path), metavar="CERT")
def command(certificate: Path) -> int:
    """Repeat what CERT, such as model.pt.xcheck.json, claims: same bytes, same weights, same verdicts.

    Needs both files where the certificate expects them, seen from its own folder, and no network. Frameworks that are
    not installed here are left out and named; the float64 oracle always runs.
    """
    from .port_run import run_recheck

    return run_recheck(certificate)

"""`recheck`: repeat what a certificate claims."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH
from .output import say


@click.command("recheck")
@click.argument("certificates", nargs=-1, required=True, type=PATH, metavar="CERT...")
def command(certificates: tuple[Path, ...]) -> None:
    """Repeat what each CERT, such as model.pt.xcheck.json, claims: same bytes, same weights, same verdicts.

    Needs both files where the certificate expects them, seen from its own folder, and no network. Frameworks that are
    not installed here are left out and named; the float64 oracle always runs.
    """
    from ..porting.recheck import recheck
    from .port import status

    for certificate in certificates:
        with status(f"rechecking {certificate}"):
            summary = recheck(certificate)
        say(summary)

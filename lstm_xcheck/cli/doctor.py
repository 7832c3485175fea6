"""`doctor`: this environment, what it lacks, and known bad combinations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .output import print_missing, say

if TYPE_CHECKING:
    from ..adapters.doctor import Finding


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> int:
    """Show Python, the frameworks and their versions, known bad combinations,
    and the command that installs what is missing.

    No framework is started. The exit code is 1 where a combination is known to be wrong.
    """
    import platform

    from ..adapters import installed
    from ..adapters.doctor import examine, missing_adapters, own_version, this_environment
    from .output import print_json

    env = this_environment()
    findings = examine(env)
    data: dict[str, Any] = {
        "python": platform.python_version(),
        "lstm_xcheck": own_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": dict(env.versions),
        "adapters": list(installed()),
        "missing": dict(missing_adapters()),
        "findings": [vars(finding) for finding in findings],
    }
    if as_json:
        print_json(data)
    else:
        _print(data, findings)
    return int(any(finding.level == "wrong" for finding in findings))


def _print(data: dict[str, Any], findings: list[Finding]) -> None:
    """What is wrong first."""
    wrong = [finding for finding in findings if finding.level == "wrong"]
    say(f"{len(wrong)} known to be wrong here" if wrong else "nothing here is known to be wrong")
    for finding in findings:
        say(f"  {finding.level}: {finding.text}" + (f"\n    run: {finding.command}" if finding.command else ""))
    say(f"\nlstm-xcheck {data['lstm_xcheck']} on Python {data['python']}, {data['machine']}")
    say("  " + ", ".join(f"{name} {version}" for name, version in data["packages"].items()))
    say(f"\nadapters that run here: {', '.join(data['adapters']) or 'none'}")
    print_missing(data["missing"])

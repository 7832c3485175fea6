"""Loaded by tox from beside tox.ini: tells the environment `compare` what this run of tox owes it.

That is a recording and a test report of every environment that was asked for, skipped ones included: a missing
interpreter or a failed environment leaves none, and `compare` says so. The run id makes those of earlier runs stale.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from tox.config.sets import ConfigSet
from tox.plugin import impl
from tox.session.state import State
from tox.tox_env.api import ToxEnv

_RUN = secrets.token_hex(6)
_states: list[State] = []


@impl
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:
    """Keep the state: it knows which environments were asked for."""
    _states[:] = [state]


@impl
def tox_before_run_commands(tox_env: ToxEnv) -> None:
    """Set what tox.ini refers to as {env:XCHECK_RUN}, {env:XCHECK_EXPECT} and {env:XCHECK_TESTED}."""
    asked = [*_states[0].envs.iter()]
    # `compare` alone judges whatever there is. Set before any command is asked for, since those refer to it.
    os.environ["XCHECK_RUN"] = _RUN if set(asked) - {"compare"} else ""
    recording = [name for name in asked if any(_stem(command, 1) == "record" for command in _commands(name))]
    os.environ["XCHECK_EXPECT"] = ",".join(recording)
    os.environ["XCHECK_EXPECT_OPTION"] = f"--expect={','.join(recording)}" if recording else ""
    reporting = [name for name in asked if any(_reports_tests(command) for command in _commands(name))]
    os.environ["XCHECK_TESTED"] = ",".join(reporting)


def _commands(name: str) -> list[list[str]]:
    """The arguments of each command of an environment, its interpreter there or not.

    Not asked of `compare`: tox keeps the commands it was asked for, and those of `compare` are not complete yet.
    """
    commands = [] if name == "compare" else _states[0].envs[name].conf["commands"]
    return [command.args for command in commands]


def _reports_tests(arguments: list[str]) -> bool:
    """Whether it is pytest with a report to write."""
    return _stem(arguments, 0) == "pytest" and any(argument.startswith("--junit-xml") for argument in arguments)


def _stem(arguments: list[str], place: int) -> str:
    return Path(arguments[place]).stem if place < len(arguments) else ""

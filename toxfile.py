"""Loaded by tox from beside tox.ini: tells the environment `compare` which recordings this run of tox owes it.

They are those of all environments that were asked for, skipped ones included: a missing interpreter or a failed
environment leaves none, and `lstm-xcheck replay --expect` says so. The run id makes recordings of earlier runs stale.
"""

from __future__ import annotations

import os
import secrets

from tox.config.sets import ConfigSet
from tox.plugin import impl
from tox.session.state import State
from tox.tox_env.api import ToxEnv

#: Factors of the environments that record nothing.
_OTHERS = {"core", "lint", "typing", "compare"}
_RUN = secrets.token_hex(6)
_states: list[State] = []


@impl
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:
    """Keep the state: it knows which environments were asked for."""
    _states[:] = [state]


@impl
def tox_before_run_commands(tox_env: ToxEnv) -> None:
    """Set what tox.ini refers to as {env:XCHECK_RUN} and {env:XCHECK_EXPECT}."""
    asked = [name for name in _states[0].envs.iter() if not _OTHERS & set(name.split("-"))]
    # `compare` alone judges whatever recordings there are.
    os.environ["XCHECK_RUN"] = _RUN if asked else ""
    os.environ["XCHECK_EXPECT"] = ",".join(asked)

"""What `Entry.install` names is enough: each adapter runs where packages beyond those of its extras are hidden."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata

import pytest

from lstm_xcheck.adapters import Entry, known
from lstm_xcheck.adapters.keras.choice import keras_adapter
from lstm_xcheck.model import Case, LSTMSpec

from ..conftest import needs

EXTRAS = re.compile(r"lstm-xcheck\[([\w,-]+)\]")
#: Compiles C++ for ten seconds, of what torch-export has already shown to be there.
SLOW = {"torch-compile"}

#: Hides modules, then judges a case in each adapter. Prints {adapter: what it ended with}.
SCRIPT = """
import json, re, sys

from lstm_xcheck.adapters.protocol import Session
from lstm_xcheck.adapters.registry import entry_named, load_adapter
from lstm_xcheck.compare import judge
from lstm_xcheck.errors import Unsupported
from lstm_xcheck.model import Case, LSTMSpec

names, hidden, kept = map(json.loads, sys.argv[1:])


class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden and path is None:  # setuptools brings copies of some
            path = [folder for folder in sys.path if "_vendor" in folder]
        return self.finder.find_spec(name, path, target)

    def find_distributions(self, *context):  # PyTorch looks for versions of packages before it imports them
        found = getattr(self.finder, "find_distributions", lambda *context: ())(*context)
        return (one for one in found if re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower() in kept)


def answer(name, case):
    entry = entry_named(name)
    if entry.missing():
        return f"needs {entry.missing()}"
    try:
        session = Session(load_adapter(entry.target, name))
        return judge(session.execute(case), case, layout=session.adapter.layout).verdict
    except Exception as error:
        return f"{type(error).__name__}: {error}"


sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
case = Case.random(LSTMSpec(3, 4, bias="single"), states=False)
print(json.dumps({name: answer(name, case) for name in names}))
"""


def group(entry: Entry) -> tuple[str, str]:
    """What must be installed, and what must be set before the frameworks are imported."""
    return entry.install, json.dumps(entry.variables, sort_keys=True)


ENTRIES = [entry for entry in known().values() if EXTRAS.fullmatch(entry.install) and entry.name not in SLOW]
GROUPS = sorted({group(entry) for entry in ENTRIES})


def needed(extras: set[str]) -> set[str]:
    """The distributions that pip installs for extras of this project, by their requirements."""
    requirements = pytest.importorskip("packaging.requirements")
    found, direct = set[tuple[str, str]](), set[str]()
    waiting = [("lstm-xcheck", extra) for extra in ("", *extras)]
    while waiting:
        name, extra = waiting.pop()
        key = (normalized(name), extra)
        if key in found:
            continue
        found.add(key)
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            if name in direct:  # another distribution has its modules here, as tensorflow those of -cpu
                pytest.skip(f"needs {name}")
            continue  # of a package that runs without it
        for requirement in map(requirements.Requirement, lines):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                direct |= {requirement.name} if name == "lstm-xcheck" else set()
                waiting += [(requirement.name, wanted) for wanted in ("", *requirement.extras)]
    return {name for name, _ in found}


def normalized(name: str) -> str:
    """A distribution's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def answers(names: list[str], extras: set[str], variables: dict[str, str]) -> dict[str, str]:
    """What each adapter ends with where all other packages are hidden."""
    kept = needed(extras)
    owners = metadata.packages_distributions()
    hidden = sorted(module for module, names in owners.items() if not set(map(normalized, names)) & kept)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, *map(json.dumps, (names, hidden, sorted(kept)))],
        env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.framework
@pytest.mark.parametrize(("install", "variables"), GROUPS, ids=[" ".join(key) for key in GROUPS])
def test_the_extras_of_an_adapter_are_enough(install: str, variables: str) -> None:
    members = [entry for entry in ENTRIES if group(entry) == (install, variables)]
    here = [entry for entry in members if not entry.missing()]
    needs(*members[0].requires if not here else ())
    match = EXTRAS.fullmatch(install)
    assert match is not None
    found = answers([entry.name for entry in here], set(match[1].split(",")), json.loads(variables))
    assert found == {entry.name: "match" for entry in here}


@pytest.mark.framework("keras")
@pytest.mark.parametrize(
    ("name", "backend", "reason"),
    [
        ("keras-jax", "jax", "backend: keras 2.12.0 runs on TensorFlow alone, not on jax; keras>=3 does"),
        ("keras-torch", "torch", "backend: keras 2.12.0 runs on TensorFlow alone, not on torch; keras>=3 does"),
        ("keras-cell", "tensorflow", "version: keras-cell needs keras>=3, not 2.12.0"),
    ],
)
def test_keras_2_refuses_what_it_lacks_without_tensorflow(
    name: str, backend: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lstm_xcheck.adapters.keras.choice.version", lambda package: "2.12.0")
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # as where adapters of JAX or PyTorch share a process
    adapter = keras_adapter(name)
    assert adapter.unsupported(Case.random(LSTMSpec(3, 4))) == reason
    assert adapter.environment() == {"keras": "2.12.0"}

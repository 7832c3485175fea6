"""What a cell is, by content: the same key means the same question to the same implementation."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import __version__
from ..adapters import Entry
from ..adapters.function import FUNCTION
from ..atomic_files import sha256_of
from ..engine.grid import Recipe
from ..engine.run import Plan, Question
from ..errors import AdapterError
from ..workers.versions import versions

#: Reading metadata from a cold disk can take this long.
_SECONDS = 60.0


def question_key(question: Question) -> str:
    """A digest of a case, its name included; for a recipe it is that of the recipe, which fixes every bit."""
    if isinstance(question, Recipe):
        return _digest({"recipe": asdict(question)})
    content = [question.fingerprint, question.spec.to_dict(), question.precision, question.returns, question.gradients]
    return _digest({"case": content, "id": question.id})


def plan_key(questions: Iterable[Question]) -> str:
    """A digest of all cases in their order."""
    return _digest([question_key(question) for question in questions])


def adapter_identity(entry: Entry, python: str | None = None) -> dict[str, Any]:
    """What decides about an adapter's answers, as far as it is known before the framework loads.

    Its code (this package's version, or a hash of the files of an adapter from elsewhere), environment variables,
    interpreter, and the versions of the packages it needs.

    Raises:
        AdapterError: when the interpreter cannot be asked.
    """
    identity: dict[str, Any] = {"target": entry.target, "variables": dict(entry.variables), "lstm_xcheck": __version__}
    source = _source_hash(entry)
    if source:
        identity["source"] = source
    own = python is None or python == sys.executable
    packages = (*entry.requires, *_brought_by(entry))
    identity["versions"] = versions(packages) if own else _ask(str(python), packages)
    return identity


def cell_key(adapter: str, identity: dict[str, Any], question: str) -> str:
    """The key of one adapter's answer to the question of that key."""
    return _digest([adapter, identity, question])


def identities(plan: Plan) -> dict[str, dict[str, Any]]:
    """The identity of each of a plan's adapters."""
    return {entry.name: adapter_identity(entry, plan.pythons.get(entry.name)) for entry in plan.entries}


def _brought_by(entry: Entry) -> tuple[str, ...]:
    """The package that an adapter from an entry point comes with."""
    top = entry.target.partition(":")[0].partition(".")[0]
    return () if entry.path or top == __package__.partition(".")[0] else (top,)


def _source_hash(entry: Entry) -> str:
    """A digest over the code of an adapter from elsewhere: its module, or all of the package that holds it."""
    top, *inner = entry.variables.get(FUNCTION, entry.target).partition(":")[0].split(".")
    folders = [Path(folder) for folder in entry.path]
    if _brought_by(entry):
        found = importlib.util.find_spec(top)
        places = [] if found is None else [*(found.submodule_search_locations or ()), found.origin or ""]
        folders = [Path(place).parent for place in places[:1]]
    for folder in folders:
        alone = folder.joinpath(top, *inner).with_suffix(".py")
        package = folder / top / "__init__.py"
        files = sorted(package.parent.rglob("*.py")) if package.is_file() else [alone] if alone.is_file() else []
        if files:
            return hashlib.sha256(b"".join(sha256_of(file).encode() for file in files)).hexdigest()
    return ""


def _ask(python: str, modules: tuple[str, ...]) -> dict[str, str]:
    """The versions in another interpreter."""
    command = [python, str(Path(__file__).with_name("versions.py")), *modules]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
        found: dict[str, str] = json.loads(run.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise AdapterError(f"{python} cannot be asked for its versions: {error}") from error
    return found


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:32]

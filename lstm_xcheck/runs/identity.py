"""Keys of tasks: equal for equal cases and adapters."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .. import __version__
from ..adapters import Entry
from ..adapters.function import FUNCTION
from ..adapters.program import LIBRARY, PROGRAM, Implementation
from ..atomic_files import sha256_of
from ..engine import CaseOrRecipe, Plan, Recipe
from ..errors import AdapterError
from ..workers import versions

#: Time limit for reading metadata in another interpreter, perhaps from a cold disk.
_VERSIONS_SECONDS = 60.0


def case_key(case: CaseOrRecipe) -> str:
    """A digest of a case or recipe, its id included."""
    if isinstance(case, Recipe):
        return _digest({"recipe": case.fields()})
    content = [case.fingerprint, case.spec.to_dict(), case.precision, case.returns, case.gradients]
    content += [case.options] if case.options else []  # keys of cases without any stay what they were
    return _digest({"case": content, "id": case.id})


def cases_key(cases: Iterable[CaseOrRecipe]) -> str:
    """A digest of all cases in their order."""
    return _digest([case_key(case) for case in cases])


def task_key(adapter: str, identity: dict[str, Any], case: str) -> str:
    """A digest of an adapter and a case key."""
    return _digest([adapter, identity, case])


def identities(plan: Plan) -> dict[str, dict[str, Any]]:
    """The identity of each adapter of a plan."""
    return {entry.name: adapter_identity(entry, plan.pythons.get(entry.name)) for entry in plan.entries}


def adapter_identity(entry: Entry, python: str | None = None) -> dict[str, Any]:
    """What determines an adapter's results, without loading it.

    These are its code (the version of this package, and a hash of an adapter from elsewhere), environment variables,
    and the versions of Python and the packages it needs.
    """
    identity: dict[str, Any] = {"target": entry.target, "variables": dict(entry.variables), "lstm_xcheck": __version__}
    source = _source_hash(entry)
    if source:
        identity["source"] = source
    packages = (*entry.requires, *_providing_package(entry))
    in_this_python = python is None or python == sys.executable
    identity["versions"] = versions.versions(packages) if in_this_python else _versions_in(str(python), packages)
    return identity


def _providing_package(entry: Entry) -> tuple[str, ...]:
    """The package that provides an adapter by an entry point."""
    top = entry.target.partition(":")[0].partition(".")[0]
    return () if entry.path or top == __package__.partition(".")[0] else (top,)


def _source_hash(entry: Entry) -> str:
    """A digest of the code of an adapter from elsewhere; "" for others."""
    if PROGRAM in entry.variables or LIBRARY in entry.variables:
        words = next(json.loads(entry.variables[name]) for name in (PROGRAM, LIBRARY) if name in entry.variables)
        return _digest([sha256_of(file) for file in Implementation(PROGRAM, tuple(words)).files])
    top, *inner = entry.variables.get(FUNCTION, entry.target).partition(":")[0].split(".")
    folders = [Path(folder) for folder in entry.path]
    if _providing_package(entry):
        found = importlib.util.find_spec(top)
        places = [] if found is None else [*(found.submodule_search_locations or ()), found.origin or ""]
        folders = [Path(place).parent for place in places[:1]]
    for folder in folders:
        module = folder.joinpath(top, *inner).with_suffix(".py")
        files = _files_of(folder, top) or ({module} if module.is_file() else set())
        if files:
            # A package of an entry point has its version, an own function its folder.
            known = files if _providing_package(entry) else _with_imported(folder, files)
            return hashlib.sha256(b"".join(sha256_of(file).encode() for file in sorted(known))).hexdigest()
    return ""


def _files_of(folder: Path, top: str) -> set[Path]:
    """The files of a module or package of a folder, if it is there."""
    if (folder / f"{top}.py").is_file():
        return {folder / f"{top}.py"}
    return set((folder / top).rglob("*.py")) if top.isidentifier() else set()


def _with_imported(folder: Path, files: set[Path]) -> set[Path]:
    """The files and all that they import from the folder, by any name."""
    found: set[Path] = set()
    waiting = set(files)
    while waiting:
        file = waiting.pop()
        found.add(file)
        for top in _named_modules(file):
            waiting |= _files_of(folder, top) - found
    return found


def _named_modules(file: Path) -> set[str]:
    try:
        nodes = list(ast.walk(ast.parse(file.read_bytes())))
    except (SyntaxError, ValueError, RecursionError):
        return set()  # it will not run
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in nodes if isinstance(node, ast.ImportFrom) and node.level for alias in node.names]
    names += [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return {name.partition(".")[0] for name in names}


def _versions_in(python: str, modules: tuple[str, ...]) -> dict[str, str]:
    """The versions in another interpreter."""
    command = [python, str(versions.__file__), *modules]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_VERSIONS_SECONDS, check=True)
        found: dict[str, str] = json.loads(run.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise AdapterError(f"{python} cannot be asked for its versions: {error}") from error
    return found


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:32]

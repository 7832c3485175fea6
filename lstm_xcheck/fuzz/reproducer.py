"""A finding as a pytest file that needs NumPy and the implementation alone."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

from ..adapters import Entry
from ..adapters.function import FUNCTION
from ..diagnose import Diagnosis, full_explanation
from ..errors import XcheckError
from .calls import CALLS, OWN_FUNCTION
from .literals import UNPACK, WIDTH, data, spec_values
from .script import CHECK, SCRIPT
from .search import Finding


class CannotReproduce(XcheckError):
    """No call of the implementation without lstm-xcheck is known."""


def reproducer(finding: Finding, entry: Entry, diagnosis: Diagnosis | None, folder: Path) -> str:
    """The text of a pytest file; its `folder` locates a user's own function."""
    case = finding.recipe.case()
    if case.mask is not None or not case.spec.is_plain or case.spec.reverse or set(case.options.values()) - {"twice"}:
        raise CannotReproduce(f"a script for {finding.recipe.feature} without lstm-xcheck is not known")
    setup, call = _call(finding, entry, folder)
    text = data(finding) + (spec_values(finding.recipe.spec) if FUNCTION in entry.variables else "")
    packed = "unpack(" in text
    imports = "\n".join(["from __future__ import annotations\n", *(["import base64"] if packed else []), *setup])
    blocks = [_docstring(finding, entry, diagnosis), imports, "import numpy as np"]
    rest = [*([UNPACK] if packed else []), text, SCRIPT, call, CHECK]
    head = "\n\n".join(block.strip("\n") for block in blocks)
    return head + "".join(f"\n\n\n{block.strip()}" for block in rest) + "\n"


def _call(finding: Finding, entry: Entry, folder: Path) -> tuple[list[str], str]:
    """Lines before `import numpy`, and the function `implementation`."""
    target = entry.variables.get(FUNCTION)
    if target:
        return _own_function(target, entry, folder)
    versions = {} if finding.result is None else finding.result.environment
    fits = all(str(versions.get(name, start)).startswith(start) for name, start in entry.call_versions.items())
    if entry.call not in CALLS or not fits:
        raise CannotReproduce(f"a call of {entry.name} without lstm-xcheck is not known")
    settings = [f'os.environ["{name}"] = "{value}"' for name, value in entry.variables.items()]
    return (["import os", "", *settings] if settings else []), CALLS[entry.call]


def _own_function(target: str, entry: Entry, folder: Path) -> tuple[list[str], str]:
    """The same for a user's function."""
    module, _, path = target.partition(":")
    place = os.path.relpath(entry.path[0], folder.resolve())
    first, *rest = path.split(".")
    renamed = f"own_function = {'.'.join(['_outer', *rest])}"
    return [
        "import sys",
        "from pathlib import Path",
        "from types import SimpleNamespace",
        "",
        f'sys.path.insert(0, str(Path(__file__).resolve().parent / "{Path(place).as_posix()}"))',
        f"from {module} import {first} as {'_outer' if rest else 'own_function'}",
        *([renamed] if rest else []),
    ], OWN_FUNCTION


def _docstring(finding: Finding, entry: Entry, diagnosis: Diagnosis | None) -> str:
    wrong = next(row for row in finding.outcome.rows if row.verdict == finding.outcome.verdict)
    lines = [
        f"{entry.name} does not compute what an LSTM computes.",
        "",
        "Found and shrunk by `lstm-xcheck fuzz`. This file needs NumPy, pytest and the implementation alone.",
        "",
        f"Case: {finding.recipe.id}",
        f"Found: {wrong.quantity} {wrong.verdict}: {wrong.reason}",
    ]
    if diagnosis is not None:
        lines.append(f"Diagnosis: {diagnosis.cause or full_explanation(diagnosis.to_dict())}")
        lines += [f"Fix: {diagnosis.fix}"] if diagnosis.fix else []
    text = "\n".join(textwrap.fill(line, WIDTH, subsequent_indent="    ") if line else "" for line in lines)
    quoted = text.replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{quoted}\n"""\n'

"""Versions of packages from their metadata, without importing them: `python versions.py torch keras` prints JSON.

Run by path in any Python, so it imports the standard library alone.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from collections.abc import Sequence

#: Distributions that are not named as their module is.
_OTHER_NAMES = {"tensorflow": ("tensorflow-cpu", "intel-tensorflow"), "haiku": ("dm-haiku",)}


def versions(modules: Sequence[str]) -> dict[str, str]:
    """The version of Python, of NumPy and of each module's package, `unknown` where no metadata say.

    >>> sorted(versions(["numpy"]))
    ['numpy', 'python']
    """
    return {"python": platform.python_version(), **{name: _version(name) for name in sorted({*modules, "numpy"})}}


def _version(module: str) -> str:
    for name in (module, *_OTHER_NAMES.get(module, ()), module.replace("_", "-")):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(versions(sys.argv[1:])))

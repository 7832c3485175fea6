"""Versions of packages from their metadata, without importing them.

`python versions.py torch keras` prints them as JSON. It is run by path in any Python, and imports only the standard
library.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from collections.abc import Sequence

#: Distributions with another name than their module.
_DISTRIBUTIONS = {
    "tensorflow": ("tensorflow-cpu", "intel-tensorflow"),
    "haiku": ("dm-haiku",),
    "paddle": ("paddlepaddle", "paddlepaddle-gpu"),
    "mlx.core": ("mlx",),
    "sonnet": ("dm-sonnet",),
}


def versions(modules: Sequence[str]) -> dict[str, str]:
    """Versions of Python, NumPy and each module's package; `unknown` without metadata.

    >>> sorted(versions(["numpy"]))
    ['numpy', 'python']
    """
    return {"python": platform.python_version(), **{name: _version(name) for name in sorted({*modules, "numpy"})}}


def _version(module: str) -> str:
    for name in (module, *_DISTRIBUTIONS.get(module, ()), module.replace("_", "-")):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(versions(sys.argv[1:])))

"""Starts a worker; run by path in any Python that has NumPy.

It loads the package from this folder, so that the other interpreter needs nothing of this project installed and gets
nothing but this package.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def load_package() -> None:
    """Make this package importable as lstm_xcheck, whatever else is installed."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    package = here.parent
    spec = importlib.util.spec_from_file_location(
        "lstm_xcheck", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    if spec is None or spec.loader is None:
        raise SystemExit(f"{package} is no package")
    module = importlib.util.module_from_spec(spec)
    sys.modules["lstm_xcheck"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    load_package()
    from lstm_xcheck.workers.worker import main

    main(sys.argv[1:])

"""Proves an LSTM the same in every framework, or names the mistake.

The public names are loaded when first used, so that `import lstm_xcheck` costs nothing and no framework.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import strategies as strategies
    from .adapters import register_adapter as register_adapter
    from .api import assert_equivalent as assert_equivalent
    from .api import diagnose as diagnose
    from .api import judge as judge
    from .api import library as library
    from .api import load as load
    from .api import program as program
    from .api import run as run
    from .api import sweep as sweep
    from .api import verify as verify
    from .api import verify_grid as verify_grid
    from .checkpoints.inspect import inspect as inspect
    from .engine.grid import grid as grid
    from .errors import AdapterError as AdapterError
    from .errors import CheckpointError as CheckpointError
    from .errors import DisagreementError as DisagreementError
    from .errors import SpecError as SpecError
    from .errors import Unsupported as Unsupported
    from .errors import UserError as UserError
    from .layouts import count_parameters as count_parameters
    from .model import Case as Case
    from .model import LSTMSpec as LSTMSpec
    from .model import LSTMWeights as LSTMWeights
    from .model import Result as Result
    from .porting.compare_files import compare as compare
    from .porting.port import port as port
    from .report import Report as Report
    from .tracing import trace as trace

#: Public name -> the module that defines it.
_PUBLIC = {
    "register_adapter": "adapters",
    "assert_equivalent": "api",
    "diagnose": "api",
    "judge": "api",
    "compare": "porting.compare_files",
    "inspect": "checkpoints.inspect",
    "library": "api",
    "load": "api",
    "program": "api",
    "port": "porting.port",
    "run": "api",
    "sweep": "api",
    "trace": "tracing",
    "verify": "api",
    "verify_grid": "api",
    "AdapterError": "errors",
    "CheckpointError": "errors",
    "DisagreementError": "errors",
    "SpecError": "errors",
    "Unsupported": "errors",
    "UserError": "errors",
    "count_parameters": "layouts",
    "Report": "report",
    "Case": "model",
    "LSTMSpec": "model",
    "LSTMWeights": "model",
    "Result": "model",
    "grid": "engine.grid",
}

#: Public modules. They are loaded when first used, since they need more than the core does.
_MODULES = ("strategies",)

__all__ = [*_PUBLIC, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])


class _Package(ModuleType):
    """Keeps `lx.diagnose` a function when the package of that name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _PUBLIC or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

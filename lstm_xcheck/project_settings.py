"""Settings of a project: the table `[tool.lstm-xcheck]` of its pyproject.toml."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import UserError, unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TABLE = "lstm-xcheck"

#: Setting -> the types that it may have, and an example for the error.
SETTINGS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "adapters": ((list, str), '["torch", "jax"]'),
    "preset": ((str,), '"quick"'),
    "workers": ((dict,), '{ old-torch = "/path/to/python" }'),
    "jobs": ((int,), "2"),
    "timeout": ((int, float), "60"),
}


def project_settings(folder: Path) -> dict[str, Any]:
    """The settings of the project of a folder, as values of click options.

    The nearest pyproject.toml upward counts, as it does for other tools.

    Raises:
        UserError: for a file that is no TOML, an unknown setting, or one of another type.
    """
    file = next((file for one in (folder, *folder.parents) if (file := one / "pyproject.toml").is_file()), None)
    if file is None:
        return {}
    try:
        content = file.read_bytes()
        if _TABLE.encode() not in content:
            return {}
        document = tomllib.loads(content.decode())
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    tool = document.get("tool", {})
    table = tool.get(_TABLE, {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise UserError(f"{file}: tool.{_TABLE} is {table!r}, but should be a table, [tool.{_TABLE}]")
    for name, value in table.items():
        if name not in SETTINGS:
            raise UserError(f"{file}, [tool.{_TABLE}]: {unknown('setting', name, SETTINGS)}")
        types, example = SETTINGS[name]
        if not isinstance(value, types) or isinstance(value, bool) or not value:
            raise UserError(f"{file}, [tool.{_TABLE}]: {name} is {value!r}, but should be like {name} = {example}")
    settings = dict(table)
    if isinstance(settings.get("adapters"), list):
        settings["adapters"] = ",".join(map(str, settings["adapters"]))
    if "workers" in settings:
        settings["workers"] = [f"{name}={python}" for name, python in settings["workers"].items()]
    return settings

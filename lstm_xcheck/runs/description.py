"""Descriptions of runs: the content of plan.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UserError

#: Version of the files in a run's folder.
SCHEMA = 1
PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class RunDescription:
    """What the tasks in a folder belong to.

    Attributes:
        key: digest of all cases, those of other shards included.
        shards: the shards in this folder, as (number, of how many); empty for all cases.
        planned: tasks that are to end here.
        order: ids of all cases, those of other shards included; empty in files of older versions.
        families: the family of each of them; empty in files of older versions.
    """

    key: str
    cases: int
    adapters: Mapping[str, Mapping[str, Any]]
    shards: Sequence[Sequence[int]] = ()
    planned: int = 0
    subject: Mapping[str, Any] = field(default_factory=dict)
    order: Sequence[str] = ()
    families: Sequence[str] = ()

    def to_json(self) -> bytes:
        """The content of plan.json."""
        fields = {"schema": SCHEMA, **asdict(self)}
        return (json.dumps({**fields, "checksum": _checksum(fields)}, indent=1) + "\n").encode()

    @classmethod
    def read(cls, folder: Path) -> RunDescription:
        """Read the description of a folder."""
        file = folder / PLAN_FILE
        try:
            fields = json.loads(file.read_bytes())
            checksum = fields.pop("checksum", "")
            expected = _checksum(fields)
            schema = fields.pop("schema")
            if schema != SCHEMA:
                raise UserError(f"{file} has schema {schema!r}, but this version reads {SCHEMA}; read it with its own")
            description = cls(**fields)
            description._check_types()
            if checksum != expected:
                raise UserError(
                    f"{file} was changed or damaged: its checksum does not fit; start the run in a new folder"
                )
        except FileNotFoundError:
            raise UserError(f"{folder} holds no {PLAN_FILE}, but should be a folder that verify --out wrote") from None
        except NotADirectoryError:
            raise UserError(f"{folder} is a file, but should be a folder that verify --out wrote") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"{file} cannot be read: {error}") from error
        return description

    def _check_types(self) -> None:
        """Check the types of fields from a file."""
        for name, kind in (("key", str), ("cases", int), ("planned", int), ("subject", dict), ("adapters", dict)):
            if type(getattr(self, name)) is not kind:
                raise ValueError(f"{name} should be of type {kind.__name__}")
        if not all(isinstance(identity, dict) for identity in self.adapters.values()):
            raise ValueError("an adapter's identity should be of type dict")
        for name in ("order", "families"):
            names = getattr(self, name)
            if not isinstance(names, (list, tuple)) or not all(isinstance(text, str) for text in names):
                raise ValueError(f"{name} should be a list of names")
        if not isinstance(self.shards, list) or not all(_is_shard(shard) for shard in self.shards):
            raise ValueError("shards should be a list of pairs of numbers")

    def difference(self, other: RunDescription) -> str:
        """The first difference to another description in words; "" for none."""
        if self.key != other.key:
            return f"it holds {self.cases} other cases"
        if list(map(list, self.shards)) != list(map(list, other.shards)):
            return f"it holds {_shard_names(self.shards)}, not {_shard_names(other.shards)}"
        if set(self.adapters) != set(other.adapters):
            return f"it holds the adapters {', '.join(sorted(self.adapters))}, not {', '.join(sorted(other.adapters))}"
        return next((text for name in self.adapters if (text := self.adapter_difference(other, name))), "")

    def adapter_difference(self, other: RunDescription, name: str) -> str:
        """How an adapter differs, in words; "" for not at all."""
        mine, theirs = self.adapters[name], other.adapters[name]
        if mine == theirs:
            return ""
        old, new = mine.get("versions", {}), theirs.get("versions", {})
        changed = [package for package in old if old[package] != new.get(package)]
        if changed:
            return f"{name} ran with {changed[0]} {old[changed[0]]}, not {new.get(changed[0])}"
        return f"the code or the environment variables of {name} changed"


def _checksum(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _is_shard(shard: object) -> bool:
    return isinstance(shard, list) and len(shard) == 2 and all(type(number) is int for number in shard)


def _shard_names(shards: Sequence[Sequence[int]]) -> str:
    return ", ".join(f"shard {number}/{of}" for number, of in shards) or "all of the cases"

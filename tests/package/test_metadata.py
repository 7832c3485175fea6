"""The metadata of the package: addresses written once, extras that exist, lower bounds that were run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck.adapters import registry

from ..helpers import ROOT

_REQUIREMENT = re.compile(r"^([\w.-]+)(?:\[([\w,-]+)\])?(?:>=([\w.]+))?")
_REPOSITORY = re.compile(r"(?:uses|repo): (\S*/lstm-xcheck)\b(?:@(\S+))?")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    data: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return data


def foreign_addresses(root: Path, source: str, version: str) -> Iterator[str]:
    """Examples that name another repository or version, as `file:line: what it should be`."""
    owner = "/".join(source.split("/")[-2:])
    pages = (file for folder in ("examples", "docs") for file in (root / folder).rglob("*"))
    for page in sorted(file for file in pages if file.suffix in (".md", ".yml", ".yaml")):
        where = page.relative_to(root).as_posix()
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
            found = _REPOSITORY.search(line)
            expected = source if "repo:" in line else owner
            if found and (found[1] != expected or found[2] not in (None, f"v{version}")):
                yield f"{where}:{number}: {expected}{'' if found[2] is None else f'@v{version}'}"
            if (revision := re.search(r"\brev: (\S+)", line)) and revision[1] != f"v{version}":
                yield f"{where}:{number}: v{version}"


def test_every_example_names_the_address_of_the_metadata(project: dict[str, Any]) -> None:
    source = project["urls"]["Source"]
    assert list(foreign_addresses(ROOT, source, project["version"])) == []
    assert all(address.startswith(source) for name, address in project["urls"].items() if name != "Documentation")


def test_an_address_or_version_of_its_own_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    lines = ["uses: A/lstm-xcheck@v1", "uses: B/lstm-xcheck@v1", "uses: A/lstm-xcheck@v2", "rev: v2", "rev: v1"]
    (tmp_path / "docs" / "page.md").write_text("\n".join([*lines, "repo: https://b/A/lstm-xcheck"]), encoding="utf-8")
    assert list(foreign_addresses(tmp_path, "https://a/A/lstm-xcheck", "1")) == [
        "docs/page.md:2: A/lstm-xcheck@v1",
        "docs/page.md:3: A/lstm-xcheck@v1",
        "docs/page.md:4: v1",
        "docs/page.md:6: https://a/A/lstm-xcheck",
    ]


def test_the_package_says_its_version(project: dict[str, Any]) -> None:
    import lstm_xcheck

    assert lstm_xcheck.__version__ == project["version"]


def test_every_extra_that_is_advised_exists(project: dict[str, Any]) -> None:
    """In sentences of errors, in pages, and in what adapters say of how to install them."""
    extras = set(project["optional-dependencies"])
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    texts = {file: file.read_text(encoding="utf-8") for file in [*files, *(ROOT / "lstm_xcheck").rglob("*.py")]}
    advised = {
        (name.strip(), file.name)
        for file, text in texts.items()
        for names in re.findall(r"lstm-xcheck\[([\w,-]+)\]", text)
        for name in names.split(",")
    }
    advised |= {
        (name, entry.name)
        for entry in registry.BUILT_IN
        for names in re.findall(r"lstm-xcheck\[([\w,-]+)\]", entry.install)
        for name in names.split(",")
    }
    assert len(advised) > 10
    assert {pair for pair in advised if pair[0] not in extras} == set()


def test_the_lowest_versions_are_those_that_the_metadata_claims(project: dict[str, Any]) -> None:
    """`constraints/lowest.txt` holds what tox runs; the extras that it runs are named there, too."""
    text = (ROOT / "constraints" / "lowest.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE))
    (extras,) = re.findall(r"^\[testenv:lowest\].*?^extras = ([\w, -]+)$", _tox(), re.MULTILINE | re.DOTALL)
    claimed = [*project["dependencies"]]
    for extra in re.split(r"[ ,]+", extras.strip()):
        claimed += project["optional-dependencies"][extra]
    for requirement in claimed:
        name, _, lowest = (_REQUIREMENT.match(requirement) or pytest.fail(requirement)).groups()
        assert _number(pinned[name]) == _number(lowest), f"{requirement} is claimed, but {pinned[name]} is run"


def _tox() -> str:
    return (ROOT / "tox.ini").read_text(encoding="utf-8")


def _number(version: str) -> tuple[int, ...]:
    """1.22 and 1.22.0 are the same version."""
    numbers = [int(part) for part in version.split(".")]
    while numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)

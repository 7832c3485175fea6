"""Name the tests that no environment of a run of tox ran, and the environments that did not end their tests.

Usage: `python .ci/ran_nowhere.py FOLDER --run ID --expect A,B`, with a folder of JUnit files, one for each environment
and named like it. The suite's name in a file is the run that it belongs to. Exit code 0: every expected environment ran
its tests and none failed; 2: one did not. A test that ran nowhere is no failure, but is never silent: its reason is
printed, its name is written to FOLDER/ran_nowhere.txt.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

#: How many reasons are printed; all of them are in the file.
SHOWN = 12


@dataclass
class Tests:
    """What one environment's pytest said."""

    ran: set[tuple[str, str]] = field(default_factory=set)
    skipped: dict[tuple[str, str], str] = field(default_factory=dict)
    failed: int = 0

    @classmethod
    def read(cls, file: Path, run: str) -> Tests | None:
        """The tests of a JUnit file; None when it belongs to another run or is cut off."""
        try:
            suites = [*ElementTree.parse(file).getroot().iter("testsuite")]
        except ElementTree.ParseError:
            return None
        if not suites or (run and suites[0].get("name") != run):
            return None
        tests = cls()
        for case in suites[0].iter("testcase"):
            tests.add(case)
        return tests

    def add(self, case: ElementTree.Element) -> None:
        """Count one test, or one file that was skipped as a whole: that has a name alone."""
        name = (case.get("classname", ""), case.get("name", ""))
        skipped = case.find("skipped")
        if skipped is None:
            self.ran.add(name)
            self.failed += case.find("failure") is not None or case.find("error") is not None
        elif skipped.get("type") == "pytest.xfail":
            self.ran.add(name)
        else:
            self.skipped[name] = reason(skipped)


def reason(skipped: ElementTree.Element) -> str:
    """Why a test was skipped, without where and without what varies from test to test."""
    text = skipped.get("message", "")
    if text == "collection skipped":
        found = re.search(r"Skipped: (.*?)['\"]?\)\s*$", skipped.text or "", re.DOTALL)
        text = found.group(1) if found else text
    missing = re.search(r"No module named [\\'\"]*([\w.]+)", text)
    return f"needs {missing.group(1)}" if missing else text.removeprefix("Skipped: ")


def nowhere(environments: Iterable[Tests]) -> dict[tuple[str, str], str]:
    """Tests and files that were skipped in all environments that met them, with a reason."""
    met = list(environments)
    ran = {name for tests in met for name in tests.ran}
    # A file stands as the name of a test of no class, and its tests as those of a class named like it or below it.
    for where in {where for where, _ in ran}:
        parts = where.split(".")
        ran |= {("", ".".join(parts[:end])) for end in range(1, len(parts) + 1)}
    skipped = {name: why for tests in met for name, why in tests.skipped.items()}
    return {name: why for name, why in sorted(skipped.items()) if name not in ran}


def main() -> int:
    """Read, print, and say by the exit code whether every expected environment ran its tests."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", default="")
    parser.add_argument("--expect", default="")
    given = parser.parse_args()
    found = {file.stem: Tests.read(file, given.run) for file in sorted(given.folder.glob("*.xml"))}
    there = {name: tests for name, tests in found.items() if tests}
    expected = [name for name in given.expect.split(",") if name]
    missing = [name for name in expected if name not in there]
    print(f"{len({name for tests in there.values() for name in tests.ran}):,} tests ran in {len(there)} environments")
    for name in missing:
        print(f"  MISSING {name}: no tests ended in this run; its interpreter is not there or it failed before")
    for name, tests in there.items():
        print(f"  {name}: {len(tests.ran):,} ran, {tests.failed:,} failed, {len(tests.skipped):,} skipped")
    tell(nowhere(there.values()), given.folder)
    return 2 if missing or any(tests.failed for tests in there.values()) else 0


def tell(left: dict[tuple[str, str], str], folder: Path) -> None:
    """Print the reasons of what ran nowhere, most frequent first, and write the names."""
    if not left:
        return
    file = folder / "ran_nowhere.txt"
    lines = [f"{'::'.join(part for part in name if part)}: {why}\n" for name, why in left.items()]
    file.write_text("".join(lines), encoding="utf-8")
    print(f"{len(left):,} tests or files of tests ran in none of them, but by README.md's test command ({file}):")
    counted = Counter(left.values()).most_common()
    for why, count in counted[:SHOWN]:
        print(f"  {count:4}  {why}")
    if counted[SHOWN:]:
        print(f"  {sum(count for _, count in counted[SHOWN:]):4}  for {len(counted) - SHOWN} other reasons")


if __name__ == "__main__":
    sys.exit(main())

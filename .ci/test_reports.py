"""Name the environments of a run of tox that left no tests or failed some, and the tests that ran in none.

Usage: `python .ci/test_reports.py FOLDER --run ID --expect A,B`, with a folder of JUnit files, one for each environment
and named like it; the suite's name is the run. Exit code 2 when an expected environment left no tests of this run, or
when one failed. Tests that were skipped everywhere are no failure: FOLDER/ran_nowhere.txt lists them with the reason.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree


def outcomes(file: Path, run: str) -> dict[str, str]:
    """`passed`, `failed` or why it was skipped, for each test; empty for another run's file, or one that is cut off."""
    try:
        suites = [*ElementTree.parse(file).getroot().iter("testsuite")]
    except ElementTree.ParseError:
        return {}
    cases = [case for suite in suites if run in ("", suite.get("name")) for case in suite.iter("testcase")]
    return {f"{case.get('classname')}::{case.get('name')}".removeprefix("::"): outcome(case) for case in cases}


def outcome(case: ElementTree.Element) -> str:
    """What became of one test."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    skipped = case.find("skipped")
    return "passed" if skipped is None or skipped.get("type") == "pytest.xfail" else f"skipped: {skipped.text}"


def nowhere(tests: list[tuple[str, str]]) -> dict[str, str]:
    """Tests and files that were skipped in every environment that met them, with the last reason."""
    ran = {name for name, result in tests if not result.startswith("skipped")}
    files = {name.partition("::")[0] for name in ran}  # a file that is skipped as a whole stands as one test
    return {name: result for name, result in sorted(tests) if name not in ran | files}


def main() -> int:
    """Print what every environment left, and say by the exit code whether that is all and good."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", default="")
    parser.add_argument("--expect", default="")
    given = parser.parse_args()
    reports = {file.stem: outcomes(file, given.run) for file in sorted(given.folder.glob("*.xml"))}
    found = {name: tests for name, tests in reports.items() if tests}
    missing = [name for name in given.expect.split(",") if name and name not in found]
    for name in missing:
        print(f"  MISSING {name}: no tests ended in this run; its interpreter is not there or it failed before")
    for name, tests in found.items():
        counts = Counter(result.partition(":")[0] for result in tests.values())
        print(f"  {name}: {counts['passed']:,} passed, {counts['failed']:,} failed, {counts['skipped']:,} skipped")
    left = nowhere([test for tests in found.values() for test in tests.items()])
    if left:
        file = given.folder / "ran_nowhere.txt"
        file.write_text("".join(f"{name}: {reason}\n" for name, reason in left.items()), encoding="utf-8")
        print(f"{len(left):,} tests or files of tests ran in none of them, but by README.md's test command: {file}")
    return 2 if missing or any("failed" in tests.values() for tests in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

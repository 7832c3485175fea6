"""The test reports of a run of tox: an environment without one is named, and so is a test that ran nowhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ..helpers import ROOT

#: `{module}` is there in some environments.
FILES = {
    "test_one": """
        import pytest

        def test_core():
            pass

        def test_in_one():
            pytest.importorskip("{module}")

        def test_nowhere():
            pytest.importorskip("no_such_framework.of_today")

        @pytest.mark.xfail
        def test_expected():
            assert False

        def test_wrong():
            assert "{module}" != "wrong"
    """,
    "test_file_in_one": """
        import pytest
        pytest.importorskip("{module}")

        def test_it():
            pass
    """,
    "test_file_nowhere": """
        import pytest
        pytest.importorskip("no_such_framework")

        def test_it():
            pass
    """,
}


@pytest.fixture
def report(pytester: pytest.Pytester) -> Path:
    """A folder of test reports as tox leaves it."""
    return pytester.mkdir("reports")


def run_tests(pytester: pytest.Pytester, environment: str, module: str, run: str = "r1") -> None:
    """The report of an environment in which `module` is there or not."""
    pytester.makepyfile(**{name: text.replace("{module}", module) for name, text in FILES.items()})
    suite = ("-o", f"junit_suite_name={run}")
    pytester.runpytest_inprocess("-p", "no:cacheprovider", f"--junit-xml=reports/{environment}.xml", *suite)


def read(reports: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, str(ROOT / ".ci" / "test_reports.py"), str(reports), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.stderr == ""
    return ran.returncode, ran.stdout


def test_what_ran_somewhere_is_not_named(pytester: pytest.Pytester, report: Path) -> None:
    run_tests(pytester, "py311-core", "no_such_framework")
    assert read(report, "--run", "r1", "--expect", "py311-core")[0] == 0
    assert len((report / "ran_nowhere.txt").read_text(encoding="utf-8").splitlines()) == 4
    run_tests(pytester, "py311-torch", "json")
    code, out = read(report, "--run", "r1", "--expect", "py311-core,py311-torch")
    assert code == 0, out
    assert "  py311-core: 3 passed, 0 failed, 4 skipped\n  py311-torch: 5 passed, 0 failed, 2 skipped\n" in out
    assert "2 tests or files of tests ran in none" in out
    first, second = (report / "ran_nowhere.txt").read_text(encoding="utf-8").splitlines()
    assert first.startswith("test_file_nowhere: skipped: ") and "could not import 'no_such_framework'" in first
    assert second.startswith("test_one::test_nowhere: skipped: ") and "'no_such_framework.of_today'" in second


def test_an_environment_without_tests_of_this_run_is_an_error(pytester: pytest.Pytester, report: Path) -> None:
    run_tests(pytester, "py311-core", "json")
    run_tests(pytester, "py310-core", "json", run="r0")
    code, out = read(report, "--run", "r1", "--expect", "py311-core,py310-core,py313-core")
    assert code == 2
    assert [line.split()[1] for line in out.splitlines() if "MISSING" in line] == ["py310-core:", "py313-core:"]
    assert read(report, "--run", "r2", "--expect", "py311-core")[0] == 2
    assert read(report, "--run", "r1", "--expect", "py311-core")[0] == 0


def test_failed_tests_and_a_report_that_is_cut_off_are_errors(pytester: pytest.Pytester, report: Path) -> None:
    run_tests(pytester, "py311-core", "wrong")
    code, out = read(report, "--expect", "py311-core")
    assert code == 2
    assert "py311-core: 2 passed, 1 failed, 4 skipped" in out
    file = report / "py311-core.xml"
    file.write_text(file.read_text(encoding="utf-8")[:-30], encoding="utf-8")
    code, out = read(report, "--expect", "py311-core")
    assert code == 2
    assert "MISSING py311-core" in out


def test_nothing_to_read_is_no_error_when_nothing_is_expected(tmp_path: Path) -> None:
    assert read(tmp_path / "gone") == (0, "")

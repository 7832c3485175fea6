"""No test that needs a framework is without its mark: where the framework is missing, the skip becomes an error."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

TESTS = """
    import pytest

    @pytest.fixture
    def runner():
        pytest.skip("adapter a needs no_framework; run: pip install no-framework")

    @pytest.mark.framework
    def test_marked(runner):
        pass

    @pytest.mark.framework("json", "no_framework")
    def test_marked_with_names():
        raise AssertionError("not skipped")

    @pytest.mark.framework("json")
    def test_marked_and_there():
        pass

    def test_forgotten():
        pytest.importorskip("no_framework.part")

    def test_forgotten_because_of_a_fixture(runner):
        pass

    def test_tools_need_no_mark():
        pytest.skip("could not import 'xdist': No module named 'xdist'")

    @pytest.mark.skipif(True, reason="locks are POSIX")
    def test_systems_need_no_mark():
        pass

    @pytest.mark.xfail(reason="needs work")
    def test_expected_failure():
        assert False
"""

FILE = """
    import pytest
    {mark}
    pytest.importorskip("no_framework")

    def test_it():
        pass
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nmarkers = framework\n")
    return pytester


def test_a_forgotten_mark_is_an_error_that_says_what_to_do(project: pytest.Pytester) -> None:
    project.makepyfile(TESTS)
    ran = project.runpytest_inprocess("-p", "no:cacheprovider")
    ran.assert_outcomes(passed=1, skipped=4, failed=1, errors=1, xfailed=1)
    ran.stdout.fnmatch_lines(["*::test_forgotten: *no_framework*; mark it with pytest.mark.framework"])
    assert "ERROR at setup of test_forgotten_because_of_a_fixture" in ran.stdout.str()


def test_a_file_that_skips_at_import_has_a_file_mark(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_marked=FILE.format(mark="pytestmark = pytest.mark.framework"),
        test_listed=FILE.format(mark="pytestmark = [pytest.mark.framework]"),
        test_forgotten=FILE.format(mark="_ = pytest.mark.framework"),
    )
    ran = project.runpytest_inprocess("-p", "no:cacheprovider", "--continue-on-collection-errors")
    ran.assert_outcomes(skipped=2, errors=1)
    ran.stdout.fnmatch_lines(["test_forgotten.py: *could not import*; mark it with pytest.mark.framework"])

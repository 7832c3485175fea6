"""Who needs a framework is seen in the tests themselves, however they ask for it."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

#: Each asks in another way; the name says whether that is for a framework.
TESTS = """
    import importlib.util

    import pytest
    from hypothesis import given, strategies
    from helper_functions import needs_torch, needs_nothing

    ENTRY = importlib

    @pytest.fixture
    def torch():
        return pytest.importorskip("torch")

    @pytest.fixture
    def runner(torch):
        return torch

    @pytest.fixture
    def plain():
        return 1

    def ask_twice():
        needs_torch()

    def test_plain(plain, tmp_path):
        needs_nothing()

    def test_plain_tools():
        pytest.importorskip("mpmath")
        pytest.importorskip("safetensors.numpy")

    def test_plain_word():
        missing = [1]
        assert missing

    def test_framework_itself():
        pytest.importorskip("torch")

    def test_framework_any(module="torch"):
        pytest.importorskip(module)

    def test_framework_spec():
        if importlib.util.find_spec("torch") is None:
            pytest.skip("needs torch")

    def test_framework_entry():
        assert not ENTRY.missing()

    def test_framework_import():
        try:
            import torch
        except ModuleNotFoundError:
            pytest.skip("needs torch")

    def test_framework_through_fixtures(runner):
        pass

    def test_framework_through_functions():
        ask_twice()

    def test_framework_inside():
        def inner():
            needs_torch()
        inner()

    @given(strategies.integers())
    def test_framework_with_hypothesis(number):
        ask_twice()

    @given(strategies.integers())
    def test_plain_with_hypothesis(number):
        needs_nothing()

    @pytest.mark.parametrize("name", ["a", "b"])
    def test_framework_each(name):
        ask_twice()

    @pytest.mark.parametrize("ask", [needs_torch])
    def test_framework_by_parameter(ask):
        ask()

    TABLE = {"torch": (needs_torch, 1), "none": (needs_nothing, 0)}

    def test_framework_by_table(name="torch"):
        TABLE[name][0]()

    class TestClass:
        def test_framework_method(self):
            ask_twice()

        def test_plain_method(self):
            needs_nothing()

        @staticmethod
        def test_framework_static():
            ask_twice()
"""

FUNCTIONS = """
    import pytest

    def needs_torch():
        pytest.importorskip("torch")

    def needs_nothing():
        pass
"""

WHOLE_FILE = """
    import pytest
    json = pytest.importorskip("json")

    def test_framework_by_its_file():
        pass
"""

PLUGIN = """
    import pytest

    @pytest.fixture
    def lstm_xcheck():
        pass

    def test_framework_of_the_plugin(lstm_xcheck):
        pass
"""


def collected(pytester: pytest.Pytester, expression: str) -> set[str]:
    ran = pytester.runpytest_inprocess("--collect-only", "-q", "-p", "no:cacheprovider", "-m", expression)
    return {line.split("::")[-1].partition("[")[0] for line in ran.outlines if "::" in line}


def test_every_way_to_ask_is_seen(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makepyfile(test_ways=TESTS, test_file=WHOLE_FILE, test_plugin=PLUGIN, helper_functions=FUNCTIONS)
    pytester.makeini("[pytest]\nmarkers = framework\n")
    pytester.syspathinsert()
    marked, others = collected(pytester, "framework"), collected(pytester, "not framework")
    assert len(marked) == 16
    assert len(others) == 5
    assert all(name.startswith("test_framework") for name in marked), marked
    assert all(name.startswith("test_plain") for name in others), others

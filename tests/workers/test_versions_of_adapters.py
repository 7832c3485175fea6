"""The identity of a run has the version of every adapter's packages, so that `--resume` sees an upgrade."""

from __future__ import annotations

import pytest

from lstm_xcheck.adapters import Entry
from lstm_xcheck.adapters.table import BUILT_IN
from lstm_xcheck.workers.sharing import ProcessPlan
from lstm_xcheck.workers.versions import versions

from ..conftest import needs


@pytest.mark.framework
@pytest.mark.parametrize("entry", BUILT_IN, ids=lambda entry: entry.name)
def test_the_version_of_each_package_is_known(entry: Entry) -> None:
    needs(*entry.requires)
    assert "unknown" not in versions(entry.requires).values()


def test_what_repeated_shapes_set_reaches_no_relative() -> None:
    compiling = Entry("one", "m:A", variables={"X": "1"}, when_repeated={"X": "1"}, family="small")
    relative = Entry("other", "m:A", variables={"Y": "2"}, family="small")
    plan = ProcessPlan([compiling, relative])
    assert plan.variables(relative) == {"Y": "2"}
    assert plan.place(compiling) != plan.place(relative)


def test_an_adapter_named_like_a_family_has_a_process_of_its_own() -> None:
    own = Entry("small", "somewhere:Adapter")
    member = Entry("member", "somewhere:Adapter", family="small")
    plan = ProcessPlan([own, member])
    assert plan.place(own) != plan.place(member)

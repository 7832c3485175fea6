"""The pytest plugin: fixtures `lstm_xcheck` and `xcheck_adapter`, options, a summary.

Every pytest run of an environment with this package imports this file, so it imports pytest and the standard library
alone. The code behind the fixtures is in `lstm_xcheck.pytest_toolkit`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .pytest_toolkit import Toolkit

_TOOLKIT: pytest.StashKey[Toolkit] = pytest.StashKey()
_ITEM: pytest.StashKey[pytest.Item] = pytest.StashKey()
_TALLIES: pytest.StashKey[list[dict[str, Any]]] = pytest.StashKey()

_FIXTURES = frozenset(("lstm_xcheck", "xcheck_adapter"))
_NONE_LEFT = pytest.param(
    "", id="none", marks=pytest.mark.skip(reason="none of the marker's adapters is among --xcheck-adapters")
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the command line and of the ini file."""
    group = parser.getgroup("lstm-xcheck", "LSTMs in every framework")
    group.addoption(
        "--xcheck-adapters",
        metavar="A,B",
        help="adapters for the fixtures lstm_xcheck and xcheck_adapter, such as torch,keras-jax; by default all",
    )
    group.addoption(
        "--xcheck-record",
        metavar="DIR",
        help="write all that the fixture lstm_xcheck judged into one JSON report per session, DIR/session.json "
        "(DIR/session-gw0.json and so on under pytest-xdist)",
    )
    parser.addini("xcheck_adapters", "adapters, as for --xcheck-adapters", type="args", default=[])
    parser.addini("xcheck_record", "folder, as for --xcheck-record", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; check the options before collection."""
    config.addinivalue_line(
        "markers",
        "xcheck(adapters): the adapters this test is for, such as @pytest.mark.xcheck(adapters=['torch', 'jax'])",
    )
    names = _option_names(config)
    if names:
        _require_known(names, "--xcheck-adapters")
    folder = _record_folder(config)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise pytest.UsageError(f"--xcheck-record {folder}: is a file, but should be a folder")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """The chosen adapters, where an option or the ini file chooses."""
    names = _option_names(config)
    return [f"lstm-xcheck: adapters {', '.join(names)}"] if names else []


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """The same where nothing chooses, but a test has a fixture of the plugin."""
    used = any(not _FIXTURES.isdisjoint(getattr(item, "fixturenames", ())) for item in items)
    return ["lstm-xcheck: adapters all whose framework is installed"] if used and not _option_names(config) else []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per adapter, sorted by name, for tests with `xcheck_adapter`."""
    if "xcheck_adapter" not in metafunc.fixturenames:
        return
    grouped = metafunc.config.pluginmanager.hasplugin("xdist")
    names = adapters_of(metafunc.config, metafunc.definition)
    parameters = [_parameter(name, grouped) for name in names] or [_NONE_LEFT]
    metafunc.parametrize("xcheck_adapter", parameters, scope="session")


def _parameter(name: str, grouped: bool) -> Any:
    from .pytest_toolkit import why_missing

    marks = [pytest.mark.xdist_group(name)] if grouped else []
    reason = why_missing(name)
    return pytest.param(name, id=name, marks=[*marks, *([pytest.mark.skip(reason=reason)] if reason else [])])


def adapters_of(config: pytest.Config, node: pytest.Item | None) -> tuple[str, ...]:
    """The adapters of a test by its marker and the option, sorted."""
    from .pytest_toolkit import default_names

    names = set(_option_names(config) or default_names())
    marker = node.get_closest_marker("xcheck") if node is not None else None
    if marker is not None:
        wanted = marker.kwargs.get("adapters", marker.args[0] if marker.args else None)
        if wanted is None:
            raise pytest.UsageError("the marker xcheck needs adapters, such as xcheck(adapters=['torch'])")
        chosen = _split([wanted] if isinstance(wanted, str) else wanted)
        _require_known(chosen, f"the marker xcheck of {node.nodeid if node else ''}")
        names &= set(chosen)
    return tuple(sorted(names))


def _option_names(config: pytest.Config) -> tuple[str, ...]:
    given = config.getoption("--xcheck-adapters")
    names = _split([given]) if given is not None else _split(config.getini("xcheck_adapters"))
    if given is not None and not names:
        raise pytest.UsageError("--xcheck-adapters names no adapter; write for example --xcheck-adapters torch,jax")
    return tuple(sorted(set(names)))


def _split(texts: Any) -> list[str]:
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def _require_known(names: Any, where: str) -> None:
    from .pytest_toolkit import known_names

    known = known_names()
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise pytest.UsageError(f"{where}: unknown adapter {unknown[0]!r}; expected {', '.join(known)}")


def _record_folder(config: pytest.Config) -> Path | None:
    given = config.getoption("--xcheck-record") or config.getini("xcheck_record")
    return config.invocation_params.dir / given if given else None


@pytest.fixture(scope="session", name="lstm_xcheck")
def _lstm_xcheck(request: pytest.FixtureRequest) -> Iterator[Toolkit]:
    """Run and judge cases; workers stay warm for the session."""
    from .pytest_toolkit import Toolkit

    config = request.config
    toolkit = Toolkit(
        current=lambda: config.stash.get(_ITEM, None),
        adapters=lambda: adapters_of(config, config.stash.get(_ITEM, None)),
    )
    config.stash[_TOOLKIT] = toolkit
    yield toolkit
    toolkit.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keep the running test, for its JUnit properties; the fixture has session scope."""
    item.config.stash[_ITEM] = item
    try:
        return (yield)
    finally:
        del item.config.stash[_ITEM]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report; pytest-xdist workers send their totals to the controller."""
    config = session.config
    toolkit = config.stash.get(_TOOLKIT, None)
    if toolkit is None or not toolkit.judged:
        return
    worker = getattr(config, "workerinput", {}).get("workerid", "")
    tally = toolkit.tally()
    folder = _record_folder(config)
    if folder is not None:
        tally["file"] = toolkit.record(folder / (f"session-{worker}.json" if worker else "session.json"))
    if worker:
        config.workeroutput["lstm_xcheck"] = tally  # type: ignore[attr-defined]
    else:
        config.stash.setdefault(_TALLIES, []).append(tally)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Keep the totals of a pytest-xdist worker that ended."""
    tally = getattr(node, "workeroutput", {}).get("lstm_xcheck")
    if tally is not None:
        node.config.stash.setdefault(_TALLIES, []).append(tally)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print cells by verdict and adapter."""
    tallies = config.stash.get(_TALLIES, [])
    if not tallies:
        return
    from .pytest_toolkit import summary_lines

    terminalreporter.section("lstm-xcheck")
    for line in summary_lines(tallies):
        terminalreporter.line(line)

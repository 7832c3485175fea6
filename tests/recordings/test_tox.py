"""tox tells `compare` what to expect: all that was asked for, also what was skipped."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..helpers import ROOT
from .conftest import ADAPTERS

#: A project with this one's `compare`, an environment of each kind that fails and one without an interpreter.
TOX_INI = """
[tox]
env_list = lint, good-torch, bad-torch, py399-torch, good-core, bad-core, py399-core, old-tf212, compare
no_package = true
skip_missing_interpreters = true

[testenv]
allowlist_externals = *
set_env = PYTHONPATH = {root}
commands =
    bad: python -c "raise SystemExit(3)"
    torch,old: python -c "print('recorded in run <{{env:XCHECK_RUN:}}>')"
    torch,core: pytest -q -p no:cacheprovider {report}
    torch,old: "{python}" record.py {{env_name}} {{env:XCHECK_RUN:}}

[testenv:lint]
commands = python -c "print('clean')"

[testenv:docs]
commands = pytest --version

[testenv:compare]
depends = good-torch, bad-torch, py399-torch, good-core, bad-core, py399-core, old-tf212
{compare}
    python -c "print('told <{{env:XCHECK_EXPECT:}}> <{{env:XCHECK_TESTED:}}> of run <{{env:XCHECK_RUN:}}>')"
"""

#: Record without a framework.
RECORD = """
import sys
from lstm_xcheck.adapters import register_adapter
from lstm_xcheck.cli.main import run
register_adapter("Honest", "own_adapters:Honest", path={path!r})
_, name, run_id = sys.argv
to = ["--env", name, "--run", run_id, "--out", f".xcheck/recordings/{{name}}.npz"]
sys.exit(run(["record", "--adapters", "Honest", "--grid", "hidden=1 steps=3", "--jobs", "1", *to]))
"""


def tox(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output; `pytest` is found beside the interpreter that runs the tests."""
    pytest.importorskip("tox")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TOX", "XCHECK", "PYTEST"))}
    inherited["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), inherited["PATH"]])
    command = [sys.executable, "-m", "tox", *arguments]
    run = subprocess.run(command, cwd=folder, env=inherited, capture_output=True, text=True, timeout=300, check=False)
    return run.returncode, run.stdout + run.stderr


def ours() -> dict[str, str]:
    """What the project takes from this one's tox.ini: `compare`, run by this interpreter, and the options of pytest."""
    config = configparser.RawConfigParser()
    config.read(ROOT / "tox.ini", encoding="utf-8")
    kept = {key: config["testenv:compare"][key] for key in ("parallel_show_output", "ignore_errors", "commands")}
    lines = "\n".join(f"{key} = {value}".replace("\n", "\n    ") for key, value in kept.items())
    compare = lines.replace("lstm-xcheck", f'"{sys.executable}" -m lstm_xcheck')
    return {"compare": compare, "report": config["xcheck"]["report"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    text = TOX_INI.format(root=ROOT, python=sys.executable, **ours())
    (folder / "tox.ini").write_text(text, encoding="utf-8")
    (folder / "record.py").write_text(RECORD.format(path=ADAPTERS), encoding="utf-8")
    (folder / "test_it.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "test_reports.py", folder / ".ci")
    shutil.copy(ROOT / "toxfile.py", folder)
    return folder


@pytest.fixture(scope="module")
def everything(project: Path) -> tuple[int, str]:
    """Code and output of all environments at once."""
    return tox(project, "run-parallel", "-p", "2", "--parallel-no-spinner")


def test_what_was_skipped_or_failed_is_expected(everything: tuple[int, str]) -> None:
    code, output = everything
    assert code != 0
    assert re.search(r"py399-torch: SKIP", output), output
    assert re.search(r"bad-torch: FAIL", output), output
    recorded, tested = "good-torch,bad-torch,py399-torch", "good-core,bad-core,py399-core"
    assert f"told <{recorded},old-tf212> <{recorded},{tested}> of run" in output


def test_compare_names_what_is_missing(everything: tuple[int, str]) -> None:
    _, output = everything
    missing = re.findall(r"MISSING: no recording of ([\w-]+)", output)  # in the first sentence and in the list
    assert list(dict.fromkeys(missing)) == ["bad-torch", "py399-torch"]
    assert re.findall(r"MISSING ([\w-]+): no tests", output) == ["bad-torch", "py399-torch", "bad-core", "py399-core"]
    assert re.search(r"compare: FAIL", output), output


def test_all_environments_belong_to_one_run(everything: tuple[int, str]) -> None:
    _, output = everything
    runs = set(re.findall(r"run <([^>{]*)>\n", output))
    assert len(runs) == 1, output
    assert re.fullmatch(r"\w{12}", runs.pop())


@pytest.mark.parametrize(
    ("asked", "agrees", "missing"),
    [
        ("good-torch,old-tf212,good-core,lint", True, []),
        ("good-torch,py399-core", True, ["py399-core"]),
        ("good-torch,bad-torch", False, ["bad-torch"]),
    ],
)
def test_the_exit_code_tells(project: Path, asked: str, agrees: bool, missing: list[str]) -> None:
    """Where an interpreter is missing, tox alone would end with 0."""
    code, output = tox(project, "run", "-e", f"{asked},compare")
    assert ("AGREE" in output) is agrees, output
    assert re.findall(r"MISSING ([\w-]+): no tests", output) == missing
    assert (code == 0) is (not missing), output


def test_compare_alone_expects_nothing(project: Path, everything: tuple[int, str]) -> None:
    code, output = tox(project, "run", "-e", "compare")
    assert "told <> <> of run <>" in output
    assert code == 0, output


def test_compare_waits_for_every_environment_that_records_or_reports_tests(tmp_path: Path) -> None:
    _, listed = tox(ROOT, "list", "-d", "--no-desc", "-q", "--workdir", str(tmp_path))
    names = set(listed.split()) - {"lint", "typing", "compare"}
    assert len(names) >= 17, listed
    asked = ("-e", ",".join([*sorted(names), "compare"]), "-k", "depends", "commands")
    _, text = tox(ROOT, "config", *asked, "--workdir", str(tmp_path))
    config = configparser.RawConfigParser()
    config.read_string(text[text.index("[testenv:") :])
    assert names <= set(config["testenv:compare"]["depends"].split())
    commands = {name: config[f"testenv:{name}"]["commands"] for name in names}
    tested = {name for name, text in commands.items() if re.search(r"^pytest ", text, re.MULTILINE)}
    assert {"runtimes", "tf-keras", "jax-onnx", "py313-core"} <= tested
    assert {name for name in tested if "--junit-xml" in commands[name]} == tested


def test_tests_without_a_report_are_not_expected(project: Path) -> None:
    """Such as those of the site, in an environment of their own."""
    _, output = tox(project, "run", "-e", "docs,good-core,compare")
    assert "told <> <good-core> of run" in output
    assert "MISSING" not in output, output


def test_an_adapter_joins_by_one_line(tmp_path: Path) -> None:
    """With its extra it is then installed, runs its tests and records, and `compare` waits for it."""
    text = (ROOT / "tox.ini").read_text(encoding="utf-8")
    line = "    py311-torch\n"
    assert text.count(line) == 1
    joined = text.replace(line, f"{line}    py31{{2,3}}-flax\n").replace("extras =\n", "extras =\n    flax: flax\n", 1)
    (tmp_path / "tox.ini").write_text(joined, encoding="utf-8")
    shutil.copy(ROOT / "toxfile.py", tmp_path)
    _, listed = tox(tmp_path, "list", "--no-desc", "-q")
    assert {"py312-flax", "py313-flax"} <= set(listed.split())
    _, text = tox(tmp_path, "config", "-e", "py313-flax,compare", "-k", "extras", "commands", "depends")
    config = configparser.RawConfigParser()
    config.read_string(text[text.index("[testenv:") :])
    assert config["testenv:py313-flax"]["extras"] == "flax"
    programs = [line.split()[0] for line in config["testenv:py313-flax"]["commands"].split("\n") if line]
    assert programs == ["lstm-xcheck", "pytest", "lstm-xcheck"]
    assert {"py312-flax", "py313-flax"} <= set(config["testenv:compare"]["depends"].split())

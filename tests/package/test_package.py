"""What is published, built and used outside the checkout: run by `tox -e package`, which has the tools."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from ..helpers import ROOT

#: Hidden files of the project itself; others are caches, environments and the repository.
HIDDEN = {".ci", ".gitignore", ".python-version", ".pre-commit-hooks.yaml"}
MADE = ("__pycache__", "*.egg-info", "build", "dist", "target", "*.pyc")


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run([*map(str, command)], cwd=folder, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy without caches, so that building leaves nothing behind."""
    pytest.importorskip("build.util", reason="needs build")  # a folder called build would be taken for the package
    ignore = shutil.ignore_patterns(*MADE)

    def ignored(folder: str, names: list[str]) -> set[str]:
        return set(ignore(folder, names)) | {name for name in names if name.startswith(".") and name not in HIDDEN}

    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("package") / "checkout", ignore=ignored))


@pytest.fixture(scope="module")
def files(checkout: Path) -> set[str]:
    return {file.relative_to(checkout).as_posix() for file in checkout.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def built(checkout: Path, files: set[str]) -> Path:
    """The folder with the sdist, and the wheel that was built from it."""
    folder = checkout.parent / "dist"
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ".", folder=checkout)
    return folder


def test_the_sdist_holds_every_file_of_the_project(built: Path, files: set[str]) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"tests/conftest.py", "docs/generate.py", "constraints/cpu.txt", "examples/slurm/merge.sh"} <= names
    assert files - names == set()
    assert {name for name in names if "__pycache__" in name or name.startswith((".git/", ".tox"))} == set()


def test_the_wheel_holds_the_package_and_nothing_else(built: Path, files: set[str]) -> None:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        fields = Parser().parsestr(wheel.read(metadata).decode())
    assert names == {name for name in files if name.startswith("lstm_xcheck/")}
    assert "lstm_xcheck/report/report.schema.json" in names
    assert fields["License-Expression"] == "Apache-2.0"
    assert {value.partition(",")[0] for value in fields.get_all("Project-URL")} >= {"Source", "Documentation", "Issues"}
    assert str(fields.get_payload()).startswith("# lstm-xcheck\n")


def test_the_wheel_runs_in_a_fresh_environment(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PIP_CONSTRAINT", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    (wheel,) = built.glob("*.whl")
    run(sys.executable, "-m", "venv", "fresh", folder=tmp_path)
    programs = tmp_path / "fresh" / ("Scripts" if sys.platform == "win32" else "bin")
    run(programs / "python", "-m", "pip", "install", "--quiet", f"{wheel}[onnx]", folder=tmp_path)
    where = run(programs / "python", "-c", "import lstm_xcheck; print(lstm_xcheck.__file__)", folder=tmp_path)
    assert Path(where.strip()).is_relative_to(tmp_path / "fresh")
    reports = [f"report{suffix}" for suffix in (".json", ".html", ".xml", ".md", ".sarif")]
    options = [option for report in reports for option in ("--report", report)]
    printed = run(programs / "lstm-xcheck", "verify", "--preset", "quick", *options, folder=tmp_path)
    assert "AGREE" in printed
    assert all((tmp_path / report).stat().st_size for report in reports)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert {row["adapter"] for row in report["rows"]} == {"onnxruntime"}
    assert report["environment"]["lstm_xcheck"] in wheel.name


def test_pre_commit_runs_the_hooks(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pre_commit")
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)
    run(sys.executable, "-m", "pre_commit", "validate-manifest", ".pre-commit-hooks.yaml", folder=checkout)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "model.pt.xcheck.json").write_text("{}", encoding="utf-8")
    identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "init.defaultBranch=main")
    for folder in (checkout, tmp_path / "project"):
        run("git", *identity, "init", "--quiet", folder=folder)
        run("git", "add", "--all", "--force", folder=folder)
        run("git", *identity, "commit", "--quiet", "-m", "All files", folder=folder)
    tried = subprocess.run(
        [sys.executable, "-m", "pre_commit", "try-repo", str(checkout), "lstm-xcheck-recheck", "--all-files"],
        cwd=tmp_path / "project", capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip
    assert tried.returncode == 1, tried.stdout + tried.stderr
    assert "Error: model.pt.xcheck.json" in tried.stdout

"""A Dask cluster gives the same report, also when a worker is killed."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

from .long_runs import command, content, environment, ran

SWEEP = ("verify", "--adapters", "honest,lossy", "--grid", "hidden=1,2 input=2 steps=3 batch=1 seeds=40")


@dataclass
class Cluster:
    """A scheduler and its workers."""

    address: str
    log: IO[bytes]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, variables: dict[str, str], *arguments: str) -> None:
        """Start a process of Dask's in an environment of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]],
            env=variables,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.processes.append(process)

    def add_worker(self, variables: dict[str, str]) -> None:
        """One thread, no nanny that would start it again."""
        self.start(variables, "dask_worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard")


def address_in(log: IO[bytes], seconds: float = 60.0) -> str:
    """Where the scheduler listens, from what it prints."""
    end, text = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        log.seek(0)
        text = log.read().decode()
        found = re.search(r"Scheduler at:\s+(tcp://\S+)", text)
        if found:
            return found[1]
        time.sleep(0.1)
    raise RuntimeError(f"no scheduler came up: {text}")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    pytest.importorskip("distributed")
    with (tmp_path / "log").open("w+b") as log:
        cluster = Cluster("", log)
        try:
            cluster.start(
                environment(tmp_path), "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                "--no-show",
            )  # fmt: skip
            cluster.address = address_in(log)
            yield cluster
        finally:
            for process in cluster.processes:
                process.kill()
                process.wait()


def swept_while_a_worker_dies(
    cluster: Cluster, variables: dict[str, str], out: Path, *, replaced: bool = False
) -> dict[str, Any]:
    """The report of a sweep whose first worker is killed, and may be replaced."""
    with subprocess.Popen(
        command(*SWEEP, "--dask", cluster.address, "--out", str(out)),
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as sweep:
        end = time.monotonic() + 120
        while not ((out / "cells.jsonl").exists() and (out / "cells.jsonl").stat().st_size) and time.monotonic() < end:
            time.sleep(0.05)
        assert sweep.poll() is None, "the sweep had ended before its worker could be killed"
        cluster.processes[1].kill()
        if replaced:
            cluster.add_worker(variables)
        _, errors = sweep.communicate(timeout=240)
    assert sweep.returncode == 1, errors
    _, report, _ = ran(variables, "report", str(out))
    return report


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(cluster: Cluster, tmp_path: Path) -> None:
    variables = environment(tmp_path)
    for _ in range(2):
        cluster.add_worker(variables)
    code, expected, _ = ran(variables, *SWEEP)
    assert (code, expected["totals"]["planned"]) == (1, 160)
    report = swept_while_a_worker_dies(cluster, variables, tmp_path / "out")
    assert content(report) == content(expected)
    assert report["totals"]["crashed"] == report["totals"]["skipped"] == 0


@pytest.mark.slow
def test_a_worker_that_replaces_all_others_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    """It has another address, to which Dask never sends chunks for the first."""
    variables = environment(tmp_path)
    cluster.add_worker(variables)
    wait_for_workers(cluster.address, 1)
    report = swept_while_a_worker_dies(cluster, variables, tmp_path / "out", replaced=True)
    totals = report["totals"]
    assert (totals["planned"], totals["crashed"], totals["skipped"]) == (160, 0, 0)


@pytest.mark.slow
def test_each_worker_runs_what_its_environment_has(cluster: Cluster, tmp_path: Path) -> None:
    """No worker has both adapters; one that none has is refused."""
    here = environment(tmp_path)
    code, expected, _ = ran(here, *SWEEP)
    assert (code, expected["totals"]["planned"]) == (1, 160)
    for name in ("Honest", "Lossy"):
        cluster.add_worker(environment(tmp_path / name, (name,)))
    wait_for_workers(cluster.address, 2)
    code, report, errors = ran(here, *SWEEP, "--dask", cluster.address)
    assert code == 1, errors
    assert content(report) == content(expected)
    assert report["totals"]["crashed"] == report["totals"]["skipped"] == 0
    code, _, errors = ran(here, "verify", "--adapters", "faulty", *SWEEP[3:], "--dask", cluster.address)
    assert code == 2
    assert errors.startswith("Error: no worker of the cluster has what adapter faulty needs; they have ")
    assert "honest" in errors and "lossy" in errors


def wait_for_workers(address: str, count: int) -> None:
    """Until the scheduler knows them."""
    from distributed import Client

    with Client(address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


@pytest.mark.slow
def test_an_address_without_scheduler_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    code, _, errors = ran(environment(tmp_path), *SWEEP, "--dask", "tcp://127.0.0.1:9")
    assert code == 2
    assert errors.count("\n") == 1
    assert "no scheduler answers there" in errors


def test_an_address_without_a_port_is_one_sentence(tmp_path: Path) -> None:
    """A client of Dask's prints a traceback for it when Python ends."""
    pytest.importorskip("distributed")
    code, _, errors = ran(environment(tmp_path), *SWEEP, "--dask", "nowhere")
    assert code == 2
    assert errors == "Error: --dask nowhere: should be the address of a scheduler with its port, tcp://host:8786\n"


def test_without_distributed_the_pip_command_is_named(tmp_path: Path) -> None:
    (tmp_path / "distributed.py").write_text("raise ImportError('not here')\n", encoding="ascii")
    code, _, errors = ran(environment(tmp_path), *SWEEP, "--dask", "tcp://127.0.0.1:9")
    assert code == 2
    assert errors == "Error: --dask needs distributed, which this Python lacks; run: pip install 'lstm-xcheck[dask]'\n"

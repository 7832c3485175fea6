"""A sweep on a Dask cluster: `python sweep.py [ADDRESS]`; without an address, on two processes of this machine.

Needs `pip install "lstm-xcheck[dask,onnx]"`, on the workers too.
"""

from __future__ import annotations

import sys

from distributed import Client, LocalCluster

import lstm_xcheck as lx


def verify_on(client: Client) -> int:
    """Verify a grid on the workers of a client; returns the exit code."""
    recipes = lx.grid(hidden=[1, 8], steps=[1, 20], layers=[1, 2], directions=[1, 2], seeds=2)
    # pure=False: equal cases are computed again, and not looked up.
    report = lx.verify_grid(recipes, ["onnxruntime"], executor=client.get_executor(pure=False))
    print(f"{report.verdict}: {', '.join(f'{number} {name}' for name, number in report.totals.items() if number)}")
    return report.exit_code


def main(address: str | None = None) -> int:
    """Connect to the cluster at an address, or start one."""
    if address is not None:
        with Client(address) as client:
            return verify_on(client)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        return verify_on(client)


if __name__ == "__main__":  # worker processes import this file again
    sys.exit(main(*sys.argv[1:]))

"""Run the notebooks of this folder from top to bottom and keep their outputs.

Needs nbclient, ipykernel and what the notebooks import: pip install nbclient ipykernel.

    python examples/notebooks/execute.py                          all of them, in place
    python examples/notebooks/execute.py find_a_mistake --into X  this one, its outputs kept in folder X
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def execute(source: Path, target: Path) -> None:
    """Run a notebook in an empty folder; what differs from run to run is left out."""
    notebook = nbformat.read(source, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.write(notebook, target)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[path.stem for path in sorted(HERE.glob("*.ipynb"))])
    parser.add_argument("--into", type=Path, default=HERE)
    options = parser.parse_args()
    for name in options.names:
        execute(HERE / f"{name}.ipynb", options.into / f"{name}.ipynb")
        print(f"ran {name}")

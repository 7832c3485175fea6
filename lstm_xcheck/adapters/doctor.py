"""What this environment has, lacks, and is known to get wrong. Loads no framework."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from typing import Literal

from .entry import is_found
from .registry import known

Level = Literal["ok", "note", "wrong"]

#: Packages whose versions decide what an adapter computes.
PACKAGES = (
    "numpy", "torch", "keras", "tensorflow", "tensorflow-cpu", "tf-keras", "dm-sonnet", "jax", "jaxlib", "flax",
    "equinox", "dm-haiku", "jax2onnx", "onnx", "onnxruntime", "openvino", "tract", "ai-edge-litert", "litert-torch",
    "paddlepaddle", "mlx", "mlx-cpu", "tinygrad", "h5py", "safetensors", "orbax-checkpoint", "scikit-learn",
)  # fmt: skip

#: Versions of Python that the tests run on.
PYTHONS = ((3, 10), (3, 11), (3, 12), (3, 13))


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes:
        level: `ok`, `note`, or `wrong` for a combination that is known to fail or to mislead.
        text: what was found.
        command: what to run, or "".
    """

    level: Level
    text: str
    command: str = ""


@dataclass(frozen=True)
class Environment:
    """What rules look at: versions by distribution, variables, and which modules can be found."""

    versions: Mapping[str, str]
    variables: Mapping[str, str]
    finds: Callable[[str], bool]


Rule = Callable[[Environment], Finding | None]


def installed_versions() -> dict[str, str]:
    """The versions of `PACKAGES` that are installed."""
    present = {(found.metadata["Name"] or "").lower().replace("_", "-") for found in distributions()}
    return {name: version(name) for name in PACKAGES if name in present}


def this_environment() -> Environment:
    """The environment of this process."""
    return Environment(installed_versions(), os.environ, is_found)


def _two_tensorflows(env: Environment) -> Finding | None:
    if not {"tensorflow", "tensorflow-cpu"} <= set(env.versions):
        return None
    text = "tensorflow and tensorflow-cpu write into one folder, and the one installed last wins"
    return Finding("wrong", text, "pip uninstall -y tensorflow tensorflow-cpu && pip install tensorflow")


def _mlx_without_core(env: Environment) -> Finding | None:
    if not {"mlx", "mlx-cpu"} & set(env.versions) or env.finds("mlx.core"):
        return None
    return Finding(
        "wrong", "mlx is installed without its core, which no extra of this system brought", "pip install 'mlx[cpu]'"
    )


def _keras_backend(env: Environment) -> Finding | None:
    backend = env.variables.get("KERAS_BACKEND", "")
    if not backend or backend in ("tensorflow", "jax", "torch"):
        return None
    text = f"KERAS_BACKEND is {backend!r}, which no adapter runs; each sets its own"
    return Finding("note", text, "unset KERAS_BACKEND")


def _old_keras(env: Environment) -> Finding | None:
    if not env.versions.get("keras", "").startswith("2."):
        return None
    text = f"keras {env.versions['keras']} runs on TensorFlow alone: keras-jax and keras-torch refuse every case"
    return Finding("note", text, "pip install 'keras>=3'")


def _litert_torch(env: Environment) -> Finding | None:
    if "litert-torch" not in env.versions:
        return None
    text = (
        "importing litert_torch turns JAX to float64 for the whole process; adapters never import it, your own code may"
    )
    return Finding("note", text)


def _scikit_learn(env: Environment) -> Finding | None:
    if not {"scikit-learn", "keras"} <= set(env.versions):
        return None
    return Finding("note", "with scikit-learn installed, every import of Keras takes half a second longer")


def _safetensors(env: Environment) -> Finding | None:
    if env.versions.get("safetensors") != "0.8.0":
        return None
    text = "safetensors 0.8.0 saves arrays that are not contiguous as garbage; lstm-xcheck does not use it to write"
    return Finding("note", text, "pip install 'safetensors!=0.8.0'")


def _is_recent(jax2onnx: str) -> bool:
    return tuple(int(part) for part in jax2onnx.split(".")[:2] if part.isdigit()) >= (0, 15)


def _jax2onnx(env: Environment) -> Finding | None:
    if not {"jax2onnx", "orbax-checkpoint"} <= set(env.versions) or _is_recent(env.versions["jax2onnx"]):
        return None
    text = f"beside Orbax, pip fell back to jax2onnx {env.versions['jax2onnx']}; give it an environment of its own"
    return Finding("wrong", text, "python -m venv jax-onnx && jax-onnx/bin/pip install 'lstm-xcheck[jax-onnx]'")


RULES: tuple[Rule, ...] = (
    _two_tensorflows, _mlx_without_core, _jax2onnx,
    _keras_backend, _old_keras, _litert_torch, _scikit_learn, _safetensors,
)  # fmt: skip


def examine(env: Environment) -> list[Finding]:
    """Python, known combinations, a compiler, and what is missing, the worst first.

    >>> examine(Environment({"tensorflow": "2.21.0", "tensorflow-cpu": "2.21.0"}, {}, lambda _: True))[0].level
    'wrong'
    """
    found = [finding for rule in RULES if (finding := rule(env)) is not None]
    if sys.version_info[:2] not in PYTHONS:
        tested = ", ".join(f"{major}.{minor}" for major, minor in PYTHONS)
        found.append(
            Finding("note", f"Python {sys.version_info.major}.{sys.version_info.minor} is not tested; {tested} are")
        )
    if not (shutil.which("g++") or shutil.which("clang++")):
        found.append(Finding("note", "there is no C++ compiler, so torch.compile refuses every case"))
    order = ("wrong", "note", "ok")
    return sorted(found, key=lambda finding: order.index(finding.level))


def missing_adapters() -> list[tuple[str, str]]:
    """Adapters that cannot run here, each with the command that installs it."""
    return [(entry.name, f"pip install '{entry.install}'") for entry in known().values() if entry.missing()]


def own_version() -> str:
    """The version of this package, or "a checkout"."""
    try:
        return version("lstm-xcheck")
    except PackageNotFoundError:
        return "a checkout"

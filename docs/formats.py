"""Writes docs/reference/formats.md: every readable and writable format, and the tests that prove it.

What the registry says is taken from there. The rows below add what it does not, the proofs. A
test holds them against the tests that exist and the writers as they are.

    python docs/formats.py
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstm_xcheck.checkpoints import FORMATS
from lstm_xcheck.checkpoints.expressible import formats_that_say
from lstm_xcheck.checkpoints.formats import Format
from lstm_xcheck.layouts.other_layers import KINDS, OTHER_LAYERS, Row
from lstm_xcheck.model import LSTMSpec
from lstm_xcheck.model.spec import HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3

PAGE = Path(__file__).parent / "reference" / "formats.md"

DTYPES = ("float64", "float32", "float16", "bfloat16")

#: What an LSTM may have in addition, as options of `LSTMSpec`.
OPTIONS: dict[str, dict[str, Any]] = {
    "no bias": {"bias": "none"},
    "bidirectional": {"bidirectional": True},
    "reverse": {"reverse": True},
    "relu": {"cell_activation": "relu", "output_activation": "relu"},
    "0.2 v + 0.5": {"gate_activation": HARD_SIGMOID_KERAS2},
    "v / 6 + 0.5": {"gate_activation": HARD_SIGMOID_KERAS3},
    "gate_clip": {"gate_clip": 0.7},
    "cell_clip": {"cell_clip": 0.7},
    "coupling": {"coupling": "f=1-i"},
    "peepholes": {"peepholes": True},
    "proj_size": {"proj_size": 2},
    "proj_clip": {"proj_size": 2, "proj_clip": 0.7},
}


def spec_with(option: str) -> LSTMSpec:
    """A small LSTM with one of the options."""
    return LSTMSpec(3, 4, **{"bias": "single", **OPTIONS[option]})


@dataclass(frozen=True)
class Proof:
    """A test with a real framework in it.

    Attributes:
        test: `file::function` below `tests/`.
        by: `outputs` that the framework computes, or `bits` of every number.
    """

    test: str
    by: str


@dataclass(frozen=True)
class Facts:
    """What the registry does not say of a format.

    Attributes:
        read: the test that reads a real framework's file.
        loaded: the test that loads a written file with the format's own library.
        dtypes: the precisions that a writer keeps.
        whole: the test that ports a whole model and has the format's own library run it, or compares its bits.
    """

    read: Proof
    loaded: Proof | None = None
    dtypes: tuple[str, ...] = DTYPES
    whole: Proof | None = None


def _names(test: str) -> Proof:
    return Proof(test, "names")


def _outputs(test: str) -> Proof:
    return Proof(test, "outputs")


def _bits(test: str) -> Proof:
    return Proof(test, "bits")


_TRAINED = _outputs("trained/test_trained_models.py::test_every_file_in_every_backend")
_SHARDED = _outputs("checkpoints/safetensors/test_sharded_files.py::test_an_lstm_spread_over_shards_is_complete")
_ARRAYS = "checkpoints/jax/test_array_files.py"
_WRITERS = "porting/test_writers.py"
_WHOLE = "porting/test_models.py"
_TO_KERAS = _outputs(f"{_WHOLE}::test_torch_to_keras_loads_and_predicts_the_same")
_OTHERS = "porting/test_models_in_other_formats.py"
_RUN = _outputs("checkpoints/test_written_run.py::test_the_framework_computes_what_was_written")
_FORMS = "checkpoints/torch/test_stored_forms.py"
_OBJECTS = "checkpoints/torch/test_foreign_objects.py"
_ONNX = Facts(
    _bits("checkpoints/test_onnx_files.py::test_both_directions_are_read_bit_for_bit"),
    _outputs("checkpoints/test_onnx_files.py::test_written_files_give_the_same_weights_and_are_run"),
    whole=_outputs("porting/test_onnx_models.py::test_a_trained_model_predicts_the_same"),
)

#: By the format's id.
FACTS: dict[str, Facts] = {
    "torch": Facts(
        _TRAINED, _outputs(f"{_WRITERS}::test_torch_loads_the_state_dict"),
        whole=_outputs(f"{_WHOLE}::test_keras_to_torch_loads_strictly_and_predicts_the_same"),
    ),
    "torchscript": Facts(
        _outputs("checkpoints/torch/test_torchscript_files.py::test_the_program_computes_what_is_read")
    ),
    "pt2": Facts(_outputs("checkpoints/torch/test_pt2_files.py::test_the_exported_program_computes_what_is_read")),
    "safetensors": Facts(
        _TRAINED, _bits(f"{_WRITERS}::test_safetensors_loads_the_file"),
        whole=_bits(f"{_WHOLE}::test_there_and_back_is_bit_for_bit"),
    ),
    "safetensors-index": Facts(_SHARDED),
    "safetensors-folder": Facts(_SHARDED),
    "keras": Facts(
        _TRAINED, _outputs(f"{_WRITERS}::test_keras_loads_the_model"), whole=_TO_KERAS
    ),
    "npz": Facts(
        _bits(f"{_WRITERS}::test_a_file_says_what_was_written"),
        _bits(f"{_WRITERS}::test_numpy_loads_the_own_file"),
    ),
    "haiku": Facts(
        _bits(f"{_ARRAYS}::test_haiku_npz_both_ways"), _bits(f"{_ARRAYS}::test_haiku_npz_both_ways"),
        whole=_outputs(f"{_OTHERS}::test_haiku_takes_the_parameters_and_predicts_the_same"),
    ),
    "mlx": Facts(
        _bits(f"{_ARRAYS}::test_mlx_npz_both_ways"), _RUN,
        whole=_outputs(f"{_OTHERS}::test_mlx_loads_the_weights_and_predicts_the_same"),
    ),
    "flax": Facts(
        _bits(f"{_ARRAYS}::test_flax_linen_model"),
        _RUN,
        whole=_bits("porting/test_flax_models.py::test_there_and_back_gives_the_same_predictions"),
    ),
    "orbax": Facts(
        _outputs("checkpoints/jax/test_orbax_folders.py::test_linen_computes_what_is_read"),
        _outputs("checkpoints/jax/test_orbax_folders.py::test_orbax_restores_what_linen_runs"),
        whole=_outputs(f"{_OTHERS}::test_orbax_restores_what_linen_runs"),
    ),
    "onnx": _ONNX,
    "onnx-22": _ONNX,
    "openvino": Facts(
        _outputs("checkpoints/test_openvino_files.py::test_what_is_read_is_what_openvino_computes"),
        _outputs("checkpoints/test_openvino_files.py::test_written_files_are_run_by_openvino"),
    ),
    "litert": Facts(_outputs("checkpoints/litert/test_litert_files.py::test_loops_of_keras_compute_what_is_read")),
    "equinox": Facts(
        _bits(f"{_ARRAYS}::test_equinox_both_ways"), _RUN
    ),
    "paddle": Facts(
        _outputs("checkpoints/test_pickle_files.py::test_files_of_paddle_compute_what_paddle_computes"),
        _outputs("checkpoints/test_pickle_files.py::test_paddle_loads_what_is_written"),
        whole=_outputs(f"{_OTHERS}::test_paddle_loads_the_model_and_predicts_the_same"),
    ),
    "haiku-pickle": Facts(
        _outputs("checkpoints/test_pickle_files.py::test_haiku_parameters_compute_what_haiku_computes")
    ),
    "tensorflow": Facts(
        _outputs("checkpoints/tensorflow/test_tensorflow_files.py::test_files_of_keras_compute_what_keras_computes"),
        _outputs("checkpoints/tensorflow/test_tensorflow_files.py::test_tensorflow_restores_what_is_written"),
    ),
    "saved-model": Facts(
        _outputs("checkpoints/tensorflow/test_tensorflow_files.py::test_files_of_keras_compute_what_keras_computes")
    ),
    "keras-h5": Facts(
        _bits("checkpoints/keras/test_legacy_h5_files.py::test_every_lstm_is_read_bit_for_bit"),
        _outputs("checkpoints/test_written_run.py::test_keras_computes_what_a_legacy_file_says"),
        dtypes=("float64", "float32", "float16"), whole=_TO_KERAS,
    ),
    "keras-weights": Facts(
        _TRAINED, _outputs(f"{_WRITERS}::test_keras_loads_the_weights_into_a_model"), whole=_TO_KERAS
    ),
}  # fmt: skip

_HEAD = """\
# File formats

<!-- Written by docs/formats.py; change the rows there. -->

Any readable format can be ported to any writable one with `lstm-xcheck port SOURCE DESTINATION`. The content of a file
decides how it is read, its suffix or `--to` how it is written. How to port is in
[port a checkpoint](../how-to/port_a_checkpoint.md).

## Readers and writers

The tests that are named read files of the real frameworks, and load written ones with the frameworks' own loaders.
*Outputs*: what the framework computes is judged against the weights. *Bits*: every number is the framework's own. ONNX
files to read are made with onnx; Haiku has no loader, so its arrays are compared; the `npz` of lstm-xcheck is NumPy's.
The columns of needs name what must be importable besides NumPy.
"""

_KEPT = """\
## What a writer keeps and refuses

A plain LSTM with a bias goes into every format. Of the rest, `yes` is kept, and `no` is refused with an error that
names it, and the formats that can say it; nothing is ever left out in silence. `relu` stands for activations, of which
a format may keep more or fewer; `0.2 v + 0.5` is what Keras 2 calls `hard_sigmoid`, `v / 6 + 0.5` what Keras 3 and
PyTorch do. Precisions that are not listed above are refused too.
"""

_OTHER_LAYERS = """\
## Other layers

The names that a writer gives to arrays of other layers; a kernel is (input, output) unless marked (output, input).
`no`, and every layer that is not in the table: between `.pt`, `.safetensors` and `.pdparams` its tensors are copied bit
for bit under their names; elsewhere `port` names it and writes nothing, exit code 1, unless `--leave-out NAME` or
`--lstm-only` is given.
ONNX files and `.keras` are models that run: they keep the order of the layers and activations too. ONNX has
LayerNormalization since operator set 17, so only `onnx-22` takes it.
"""

_ODD = """\
## Odd files

What is read of files that hold more than plain weights, or hold them in another form. What is not read is named, and no
command ends with 0 over an LSTM that was not.
"""

_OPEN = "checkpoints/keras/test_what_files_leave_open.py"
_PLACES = "checkpoints/keras/test_classes_and_places.py"
_LAYERS_2 = "checkpoints/tensorflow/test_layers_of_keras2.py"

#: Framework, what is odd about a file, what is done with it, and the test that says so.
ODD_FILES: tuple[tuple[str, str, str, Proof], ...] = (
    ("PyTorch", "weight_norm (both forms), spectral_norm, masks of pruning", "computed once, with a note",
     _outputs(f"{_FORMS}::test_the_module_computes_what_is_read")),
    ("PyTorch", "`X_raw` beside `X` (DropConnect of AWD-LSTM and fastai)", "the raw weights are the model",
     _bits(f"{_FORMS}::test_the_weights_before_dropout_are_the_model")),
    ("PyTorch", "quantisation-aware training (`igates`, `hgates`)", "the float weights, with a note",
     _outputs(f"{_FORMS}::test_lstms_before_quantisation_are_read")),
    ("PyTorch", "dynamic quantisation to float16", "the rounded weights, with a note",
     _outputs(f"{_OBJECTS}::test_float16_weights_are_read_and_computed_with")),
    ("PyTorch", "quantisation to 8 bits", "named with its type, not read",
     _names(f"{_OBJECTS}::test_eight_bit_weights_are_named_with_their_type")),
    ("PyTorch", "other parametrizations", "named with their tensors, not read",
     _names(f"{_FORMS}::test_a_form_that_is_not_known_is_named")),
    (
        "PyTorch", "options, paths, dates, losses and functions in the pickle", "named; nothing is imported or run",
        Proof(f"{_OBJECTS}::test_the_lstm_with_an_object_is_read_and_the_object_named", "bits"),
    ),
    ("PyTorch", "a pickled module", "named, not read: its class may compute anything",
     _names(f"{_OBJECTS}::test_an_lstm_within_an_object_is_named_and_not_read")),
    ("PyTorch", "a zip of checkpoints, a folder of files", "the error names those that can be read",
     _names(f"{_OBJECTS}::test_a_zip_of_checkpoints_names_its_members")),
    ("PyTorch", "`GRU`, `RNN`", "never an LSTM, whatever `--layout` says",
     _names(f"{_FORMS}::test_no_layout_makes_an_lstm_of_a_gru_or_rnn")),
    ("Keras", "weights alone", "the defaults of the version in the file, with a note",
     _outputs(f"{_OPEN}::test_the_version_gives_the_default_gates")),
    ("Keras", "weights alone of `2.2.4-tf` or of no version", "refused, unless the user says what the gates have",
     _outputs(f"{_OPEN}::test_a_version_of_two_defaults_is_refused_until_somebody_says_which")),
    ("Keras", "JSON or YAML beside it", "applied with `--keras-config`",
     _bits("checkpoints/keras/test_plain_yaml.py::test_both_forms_of_a_config_read_the_same")),
    ("Keras", "a class that is not Keras' own", "named, and read with `--accept-class`, its config applied",
     _outputs(f"{_PLACES}::test_a_class_that_is_not_keras_own_is_accepted_by_name")),
    ("Keras", "a TimeDistributed, a model within one", "read by the config of the layer in it",
     _outputs(f"{_PLACES}::test_a_model_in_a_wrapper_keeps_what_its_layers_say")),
    ("Keras", "scopes that TensorFlow 1 made unique", "one LSTM for each layer, under the layer's name",
     _bits(f"{_PLACES}::test_scopes_made_unique_are_one_layer")),
    (
        "Keras", "peepholes, norms, convolutions or integers in its cells, or of Keras 1", "named, not read",
        Proof(f"{_PLACES}::test_an_lstm_that_is_not_read_is_marked", "names"),
    ),
    (
        "Keras", "attributes in any form of HDF5", "read or refused",
        Proof("checkpoints/keras/test_attributes.py::test_an_attribute_is_read_or_refused", "names"),
    ),
    (
        "TensorFlow", "cells of Keras with more variables", "named, not read",
        Proof(f"{_LAYERS_2}::test_cells_of_another_kind_are_not_read", "names"),
    ),
    ("Burn", "a matrix for each gate", "read", _bits(f"{_FORMS}::test_the_gates_of_burn_are_read")),
    ("TensorFlow", "layers of Keras 2 in a SavedModel", "read by their config, by the same rule",
     _names("checkpoints/tensorflow/test_layers_of_keras2.py::test_the_config_is_applied")),
    ("ONNX", "weights made of constants by Slice, Concat and others", "folded, with a bound",
     _bits("checkpoints/test_onnx_graphs_read.py::test_weights_made_of_constants_are_read")),
    ("ONNX", "LSTMs in local functions, branches and loops", "read",
     _outputs("checkpoints/test_onnx_graphs_read.py::test_an_lstm_in_each_branch_is_read")),
    ("ONNX", "cells written out by operators", "read by what they compute",
     _outputs("checkpoints/test_onnx_written_steps.py::test_a_cell_computes_what_is_read")),
    ("ONNX", "loops with a mask", "read, with a note",
     _outputs("checkpoints/test_onnx_written_steps.py::test_a_loop_with_a_mask_computes_what_is_read")),
    ("ONNX", "`DynamicQuantizeLSTM` and other operators", "named, not read",
     _names("checkpoints/test_onnx_graphs_read.py::test_other_operators_of_lstms_are_named")),
    ("ONNX", "initial states that are not zero", "named",
     _names("checkpoints/test_onnx_graphs_read.py::test_a_state_that_is_not_zero_is_not_lost")),
    ("ONNX", "recurrences of another formula", "named, not read",
     _names("checkpoints/test_onnx_other_formulas.py::test_another_formula_is_named_with_a_plain_lstm")),
    ("OpenVINO", "cells written out by operators", "named, not read",
     _names("checkpoints/test_onnx_other_formulas.py::test_steps_that_openvino_writes_out_are_named")),
    ("TorchScript, ExportedProgram", "a class that is not PyTorch's own", "named, not read",
     _names("checkpoints/torch/test_torchscript_files.py::test_a_class_of_ones_own_is_not_read")),
    ("LiteRT", "a lone LSTMCell", "read by what it computes",
     _outputs("checkpoints/litert/test_litert_files.py::test_a_cell_alone_is_read")),
    ("LiteRT", "8-bit integers, unrolled steps", "named, not read",
     _names("checkpoints/litert/test_litert_files.py::test_what_cannot_be_read_is_named")),
    ("any", "an LSTM that is not read", "named; `compare` says no SAME, `verify` no AGREE, `port` writes nothing",
     _names("cli/test_unread_lstms.py::test_compare_never_says_same")),
    ("any", "20 MB that would become more than 1 GiB", "refused before it is made",
     _names("checkpoints/hostile/test_bounded_work.py::test_a_file_that_would_become_large_is_refused")),
)  # fmt: skip

_PAIRS = """\
## Losses

From any writable format to any other and back every bit stays, with two exceptions, both reported with their size:

- Two biases become one rounded sum where the format has one vector.
- Haiku adds 1 to the forget bias itself, so 1 is taken off what is stored, rounded once. Without a bias, -1 is stored.
  Reading a file of Haiku or of a TF1 cell adds the 1, rounded once too; a note says so.

`tests/porting/test_all_pairs.py` goes through every pair of formats whose libraries are installed.
"""


def page() -> str:
    """The whole page as it should be."""
    kept = (_HEAD, _table(_READERS, map(_described, FORMATS)), _KEPT, _table(_KEEPS, _kept()))
    odd = ([framework, what, done, _proof(proof)] for framework, what, done, proof in ODD_FILES)
    parts = (*kept, _OTHER_LAYERS, _table(_LAYERS, _carried()), _ODD, _table(_ODD_HEAD, odd), _PAIRS)
    return "\n".join(parts)


_READERS = (
    "format", "suffixes", "to read it", "`--to`", "to write it", "a stack becomes", "a real file is read by",
    "a written file is loaded by", "precisions written",
)  # fmt: skip
_LAYERS = ("`--to`", *(kind.replace("_", " ") for kind in KINDS), "a whole model is run by")
_ODD_HEAD = ("framework", "a file with", "is", "proof")
_KEEPS = ("`--to`", *(f"`{name}`" if "_" in name else name for name in OPTIONS))


def _described(format: Format) -> list[str]:
    facts = FACTS[format.id]
    suffixes = _code([*format.suffixes, *format.companions])
    where = "a folder" + (f", {suffixes}" if suffixes else "") if format.folder else suffixes
    written = [f"`{format.id}`", _needs(format.writes_with), "a stack" if format.stacks else "a chain"]
    loaded = [_proof(facts.loaded), "all" if facts.dtypes == DTYPES else ", ".join(facts.dtypes)]
    if not format.writer:
        written, loaded = ["only read", "", ""], ["", ""]
    return [format.name, where, _needs(format.reads_with), *written, _proof(facts.read), *loaded]


def _kept() -> Iterator[list[str]]:
    for format in FORMATS:
        if format.writer:
            kept = [format.id in formats_that_say([spec_with(option)]) for option in OPTIONS]
            yield [f"`{format.id}`", *("yes" if yes else "no" for yes in kept)]


def _carried() -> Iterator[list[str]]:
    for format in FORMATS:
        if format.writer:
            rows = OTHER_LAYERS.get(format.family, {})
            cells = [_arrays(rows.get(kind)) for kind in KINDS]
            yield [f"`{format.id}`", *cells, _proof(FACTS[format.id].whole)]


def _arrays(row: Row | None) -> str:
    """The arrays of a layer as a framework names them."""
    if row is None:
        return "no"
    transposed = " (output, input)" if "kernel" in row.transposed else ""
    return f"{row.class_name}: {_code([*row.names.values()])}{transposed}"


def _needs(modules: Sequence[str]) -> str:
    return ", ".join(modules) or "nothing"


def _code(words: Sequence[str]) -> str:
    return " ".join(f"`{word}`" for word in words)


def _proof(proof: Proof | None) -> str:
    if proof is None:
        return ""
    file, _, function = proof.test.partition("::")
    return f"{proof.by}: [{function}](../../tests/{file})"


def _table(head: Sequence[str], rows: Iterator[list[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

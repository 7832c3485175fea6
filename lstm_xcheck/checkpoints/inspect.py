"""`lx.inspect`: everything that a checkpoint holds."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

from .formats import read_checkpoint
from .model import Checkpoint
from .options import KerasOptions


def inspect(
    file: str | PathLike[str],
    layout: str | None = None,
    *,
    keras_config: str | PathLike[str] | None = None,
    activation: str | None = None,
    recurrent_activation: str | None = None,
    go_backwards: bool = False,
    accept_class: Sequence[str] = (),
) -> Checkpoint:
    """Every LSTM of a checkpoint, and the names of all other tensors.

    Args:
        file: a checkpoint of any format, as for `load`, or a folder. Nothing in it is ever run.
        layout: a name of `lstm-xcheck layouts`, where the names of the tensors do not say whose they are.
        keras_config, activation, recurrent_activation, go_backwards, accept_class: as in `load`, for Keras files.

    Returns:
        The checkpoint: `.format`, `.lstms` (each with `.name`, `.weights`, `.layout`, `.why` and the counts), `.unread`
        and `.other`, the remaining tensors. It prints as a table.

    Raises:
        CheckpointError: when the file cannot be read or holds no LSTM; the message says what it holds.

    >>> import tempfile, pathlib
    >>> from lstm_xcheck.checkpoints import write_checkpoint
    >>> from lstm_xcheck.model import LSTMSpec, LSTMWeights
    >>> weights = LSTMWeights.random(LSTMSpec(input_size=3, hidden_size=2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write_checkpoint(pathlib.Path(folder, "model.npz"), {"encoder": weights})
    ...     inspect(pathlib.Path(folder, "model.npz")).lstms[0].name
    'encoder'
    """
    keras = KerasOptions.of(keras_config, activation, recurrent_activation, go_backwards, accept_class)
    checkpoint = read_checkpoint(file, layout, keras=keras)
    checkpoint.require_lstms()
    return checkpoint

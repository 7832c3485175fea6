"""The options that describe an LSTM, shared by the verbs that need no framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import UserError

if TYPE_CHECKING:
    from ..model import LSTMSpec

_Function = TypeVar("_Function", bound=Callable[..., Any])

#: A stack deeper than this is a slip of the finger.
_MAX_LAYERS = 512

_OPTIONS = (
    click.option("--input-size", type=int, metavar="X", help="Features per step."),
    click.option("--hidden-size", type=int, metavar="H", help="Units."),
    click.option("--layers", type=int, default=1, show_default=True, metavar="N", help="Stacked layers."),
    click.option("--bidirectional", is_flag=True, help="Each layer also reads the sequence backward."),
    click.option("--proj-size", type=int, default=0, metavar="P", help="Width of the projected h; 0 for none."),
    click.option("--bias", type=click.Choice(["split", "single", "none"]), help="Two vectors, one, or none."),
)


def spec_options(function: _Function) -> _Function:
    """Add --input-size, --hidden-size, --layers, --bidirectional, --proj-size and --bias."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def build_spec(
    input_size: int | None, hidden_size: int | None, layers: int, bidirectional: bool, proj_size: int, bias: str | None
) -> LSTMSpec:
    """The spec that the options describe.

    Raises:
        UserError: when a size is missing or the sizes make no LSTM.
    """
    from ..model import LSTMSpec

    if input_size is None or hidden_size is None:
        missing = "--input-size" if input_size is None else "--hidden-size"
        raise UserError(f"{missing} is missing; give both sizes, such as --input-size 5 --hidden-size 4")
    if layers > _MAX_LAYERS:
        raise UserError(f"--layers is {layers}, but should be {_MAX_LAYERS} or fewer")
    return LSTMSpec(
        input_size=input_size,
        hidden_size=hidden_size,
        num_layers=layers,
        bidirectional=bidirectional,
        proj_size=proj_size,
        bias=bias or "split",  # type: ignore[arg-type]
    )

"""The frameworks in whose place mistakes are made, one row each."""

from __future__ import annotations

from dataclasses import dataclass

from ...diagnose.mistake import Mistake
from ...model import LSTMSpec
from ...vectors import Wanted
from ..plant import OF_SEQUENCES


@dataclass(frozen=True)
class Host:
    """One framework.

    Attributes:
        modules: those it needs; one of them is enough.
        target: the function that makes it pass its calls to a `Plant`, as `module:function`.
        calls: what may be asked of it.
        of_steps: whether it computes single steps, and knows nothing of sequences.
        hidden: mistakes that it cannot show for another reason.
    """

    name: str
    modules: tuple[str, ...]
    target: str
    calls: tuple[Wanted, ...]
    of_steps: bool = False
    hidden: tuple[str, ...] = ()

    def has_room_for(self, mistake: Mistake) -> bool:
        """Whether the mistake is one of what this framework computes."""
        return mistake.id not in self.hidden and not (self.of_steps and mistake.family in OF_SEQUENCES)


_PEEPHOLES = Wanted(spec=LSTMSpec(1, 2, peepholes=True), lengths=False, seeds=1)


def _calls(*specs: LSTMSpec, lengths: bool = True) -> tuple[Wanted, ...]:
    """Small calls; not every framework takes rows of length 0."""
    return tuple(Wanted(spec=spec, lengths=lengths, empty_rows=False, seeds=2) for spec in specs)


HOSTS = {
    host.name: host
    for host in (
        Host("torch", ("torch",), "lstm_xcheck.scoring.hosts.torch:install",
             _calls(LSTMSpec(1, 2), LSTMSpec(1, 2, 3, True)), hidden=("padding-held",)),  # packed rows have no padding
        Host("keras", ("keras",), "lstm_xcheck.scoring.hosts.keras:install",
             _calls(LSTMSpec(1, 2, bias="single"))),
        Host("jax", ("flax", "haiku", "equinox"), "lstm_xcheck.scoring.hosts.jax:install",
             _calls(LSTMSpec(1, 2, bias="single"), lengths=False), of_steps=True),
        Host("onnx", ("onnx",), "lstm_xcheck.scoring.hosts.onnx:install",
             (*_calls(LSTMSpec(1, 2), LSTMSpec(1, 2, bidirectional=True)), _PEEPHOLES)),
    )
}  # fmt: skip

"""Detects the framework of a live object by its classes; imports no other."""

from __future__ import annotations

from ..adapters.registry import attribute_at, live_readers
from ..errors import UserError
from .lstm import LiveLSTM
from .stack import stacked


def live_lstm(thing: object) -> LiveLSTM | None:
    """A layer or module, or a stack of several; None for anything else."""
    if isinstance(thing, (list, tuple)):
        layers = [live_lstm(element) for element in thing]
        found = [layer for layer in layers if layer is not None]
        if not found or len(found) < len(layers):
            kinds = ", ".join(type(element).__name__ for element in thing) or "nothing"
            raise UserError(f"the list holds {kinds}, but should hold LSTM layers of Keras or PyTorch alone")
        return stacked(found)
    readers = live_readers()
    for base in type(thing).__mro__:  # a Keras layer on PyTorch is a torch module, too, but further up
        package = base.__module__.partition(".")[0]
        if package in readers:
            read: LiveLSTM = attribute_at(readers[package])(thing)
            return read
    return None

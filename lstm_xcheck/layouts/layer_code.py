"""Code for users that moves weights between live layers, or arrays, and canonical form."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerCode:
    """Lines for a program that has a live layer or arrays.

    `read` makes `layers` of it, a row of canonical cells for each layer; `write` puts them back; `inference` calls the
    layer so that nothing is dropped; `header` is the first line where all this is a function.
    """

    read: str
    write: str
    inference: str = ""
    header: str = ""


#: By the layout's name.
LAYER_CODE: dict[str, LayerCode] = {
    "torch": LayerCode(
        read="arrays = {k: v.cpu().numpy() for k, v in lstm.state_dict().items()}\n"
        "weights = lx.LSTMWeights.from_layout(arrays, 'torch')\n"
        "layers = weights.layers",
        write="weights = dataclasses.replace(weights, layers=layers)\n"
        "lstm.load_state_dict({k: torch.tensor(v) for k, v in weights.to_layout('torch').items()})",
        inference="model.eval()",
    ),
    "keras": LayerCode(
        read="stack = [layer]  # every LSTM or Bidirectional layer of a stack, in order\n"
        "halves = [[one.forward_layer, one.backward_layer] if hasattr(one, 'forward_layer') else [one]"
        " for one in stack]\n"
        "names = ['kernel', 'recurrent_kernel', 'bias']\n"
        "stored = [[lx.LSTMWeights.from_layout(dict(zip(names, half.get_weights())), 'keras') for half in row]"
        " for row in halves]\n"
        "layers = tuple(tuple(weights.layers[0][0] for weights in row) for row in stored)",
        write="for half, weights, cell in zip(sum(halves, []), sum(stored, []), sum(layers, ())):\n"
        "    weights = dataclasses.replace(weights, layers=((cell,),))\n"
        "    half.set_weights(list(weights.to_layout('keras').values()))",
        inference="y = layer(x, training=False)",
    ),
}


def function_code(layout: str | None) -> LayerCode:
    """A function that makes canonical weights, or arrays, for another."""
    if layout is None:
        return LayerCode(
            header="def corrected(weights):  # give your function corrected(weights) in place of weights",
            read="layers = weights.layers",
            write="return dataclasses.replace(weights, layers=layers)",
        )
    return LayerCode(
        header="def corrected(arrays):  # give your function corrected(arrays) in place of arrays",
        read=f"weights = lx.LSTMWeights.from_layout(arrays, {layout!r})\nlayers = weights.layers",
        write=f"return dataclasses.replace(weights, layers=layers).to_layout({layout!r})",
    )

"""Code for users that moves weights between a live layer and its layout."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerCode:
    """Lines for a program that has a live layer.

    `read` makes canonical `weights` of it, `write` puts them back, `inference` calls it so that nothing is dropped.
    """

    read: str
    write: str
    inference: str


#: By the layout's name.
LAYER_CODE: dict[str, LayerCode] = {
    "torch": LayerCode(
        read="weights = lx.LSTMWeights.from_layout({k: v.numpy() for k, v in lstm.state_dict().items()}, 'torch')",
        write="lstm.load_state_dict({k: torch.tensor(v) for k, v in weights.to_layout('torch').items()})",
        inference="model.eval()",
    ),
    "keras": LayerCode(
        read="names = ['kernel', 'recurrent_kernel', 'bias']\n"
        "weights = lx.LSTMWeights.from_layout(dict(zip(names, layer.get_weights())), 'keras')",
        write="layer.set_weights(list(weights.to_layout('keras').values()))",
        inference="y = layer(x, training=False)",
    ),
}

"""Train two small models for real, save them in the frameworks' own formats, and verify every file.

A Keras classifier (one LSTM) and a PyTorch tagger (two bidirectional layers) learn from the text of Python's own
licence, one-hot by character; what each predicts in the end is kept beside it as `.npy`. Needs torch, keras and
tensorflow, h5py, and safetensors for one of the files.

    python examples/train_and_verify.py keras FOLDER      trains and saves FOLDER/vowels.keras and .weights.h5
    python examples/train_and_verify.py torch FOLDER      trains and saves FOLDER/tagger.pt and .safetensors
    lstm-xcheck verify FOLDER/vowels.keras FOLDER/tagger.pt
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

#: Characters the models know; everything else becomes a space.
ALPHABET = " abcdefghijklmnopqrstuvwxyz.,"
STEPS = 12


def text() -> str:
    """The licence that every Python carries, in lower case."""
    import builtins

    builtins.license._Printer__setup()  # type: ignore[attr-defined]
    lines = " ".join(builtins.license._Printer__lines)  # type: ignore[attr-defined]
    return "".join(letter if letter in ALPHABET else " " for letter in lines.lower())


def windows() -> tuple[np.ndarray, np.ndarray]:
    """One-hot windows (batch, steps, letters) and their letters (batch, steps)."""
    letters = np.array([ALPHABET.index(letter) for letter in text()])
    count = min(512, (len(letters) - 1) // STEPS)
    indices = letters[: count * STEPS].reshape(count, STEPS)
    return np.eye(len(ALPHABET), dtype=np.float32)[indices], indices


def train_keras(folder: Path) -> float:
    """Is the last letter of a window a vowel? Returns the accuracy."""
    import keras

    keras.utils.set_random_seed(0)
    x, letters = windows()
    vowels = np.isin(letters[:, -1], [ALPHABET.index(letter) for letter in "aeiou"]).astype(np.float32)
    model = keras.Sequential(
        [
            keras.layers.Input((STEPS, len(ALPHABET))),
            keras.layers.LSTM(12, name="reader"),
            keras.layers.Dense(1, activation="sigmoid", name="head"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.03), loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(x, vowels, epochs=12, batch_size=64, verbose=0)
    model.save(folder / "vowels.keras")
    model.save_weights(folder / "vowels.weights.h5")
    np.save(folder / "vowels.npy", np.asarray(model(x))[:, 0] > 0.5)
    return float(model.evaluate(x, vowels, verbose=0)[1])


def train_torch(folder: Path) -> float:
    """Tag each letter with whether a space follows; returns the accuracy."""
    import safetensors.torch
    import torch

    torch.manual_seed(0)
    x, letters = (torch.from_numpy(array) for array in windows())
    before_space = torch.zeros(letters.shape)
    before_space[:, :-1] = (letters[:, 1:] == 0).float()
    lstm = torch.nn.LSTM(len(ALPHABET), 10, num_layers=2, bidirectional=True, batch_first=True)
    head = torch.nn.Linear(20, 1)
    optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()], lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(head(lstm(x)[0])[..., 0], before_space)
        loss.backward()
        optimizer.step()
    state = {f"encoder.{name}": tensor for name, tensor in lstm.state_dict().items()}
    state |= {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    torch.save(state, folder / "tagger.pt")
    safetensors.torch.save_file(state, str(folder / "tagger.safetensors"))
    with torch.no_grad():
        tagged = head(lstm(x)[0])[..., 0] > 0
    np.save(folder / "tagger.npy", tagged.numpy())
    return float((tagged == before_space.bool()).float().mean())


if __name__ == "__main__":
    framework, target = sys.argv[1], Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    accuracy = {"keras": train_keras, "torch": train_torch}[framework](target)
    print(f"trained with {framework}: accuracy {accuracy:.2f}, saved in {target}")

"""Weights that every format is asked to keep, and models trained for a few steps by their own framework."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck import LSTMSpec, LSTMWeights

from .taggers import CLASSES, IDS, keras_tagger, torch_tagger

SPECS = {
    "one": LSTMSpec(input_size=3, hidden_size=4),
    "single-bias": LSTMSpec(input_size=3, hidden_size=4, bias="single"),
    "no-bias": LSTMSpec(input_size=3, hidden_size=4, bias="none"),
    "bidirectional": LSTMSpec(input_size=3, hidden_size=4, bidirectional=True),
    "stack": LSTMSpec(input_size=5, hidden_size=3, num_layers=2, bidirectional=True, bias="single"),
}


@pytest.fixture(params=SPECS.values(), ids=SPECS.keys())
def spec(request: pytest.FixtureRequest) -> LSTMSpec:
    chosen: LSTMSpec = request.param
    return chosen


@pytest.fixture
def weights(spec: LSTMSpec) -> LSTMWeights:
    return LSTMWeights.random(spec, seed=3)


@pytest.fixture(scope="session")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture(scope="session")
def keras() -> Any:
    pytest.importorskip("h5py")
    return pytest.importorskip("keras")


@pytest.fixture(scope="session")
def torch_model(torch: Any) -> Any:
    torch.manual_seed(0)
    model, goal = torch_tagger(torch), torch.from_numpy(IDS % CLASSES)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(torch.from_numpy(IDS)).flatten(0, 1), goal.flatten()).backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="session")
def torch_file(tmp_path_factory: pytest.TempPathFactory, torch: Any, torch_model: Any) -> Path:
    path = tmp_path_factory.mktemp("torch") / "tagger.pt"
    torch.save(torch_model.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def keras_file(tmp_path_factory: pytest.TempPathFactory, keras: Any) -> Path:
    keras.utils.set_random_seed(0)
    model = keras_tagger(keras)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(IDS, IDS % CLASSES, epochs=3, verbose=0)
    path = tmp_path_factory.mktemp("keras") / "tagger.keras"
    model.save(path)
    return path

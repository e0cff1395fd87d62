"""Recurrent networks, one that reads images row by row and one of text, and their rows."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from sksparse.neural_network import SparseNetClassifier
from sksparse.sparsifiers import IntrinsicSparseStructures

from .rows import Limit, Row

#: Characters that the model of text knows: those of ASCII that are printed, and the end of a line.
ALPHABET = "\n" + "".join(map(chr, range(32, 127)))
#: Characters in a row of the data, of which the last is predicted.
LENGTH = 33


class RowReader(nn.Module):
    """An LSTM over the rows of an image, and a linear layer on its last state.

    Parameters
    ----------
    n_units : int, default=128
        Units of the LSTM.
    """

    def __init__(self, n_units: int = 128) -> None:
        super().__init__()
        self.lstm = nn.LSTM(28, n_units, batch_first=True)
        self.fc = nn.Linear(n_units, 10)

    def forward(self, X: Tensor) -> Tensor:
        """The logits."""
        states, _ = self.lstm(X)
        return self.fc(states[:, -1])


class CharacterModel(nn.Module):
    """An embedding, an LSTM of two layers, and a linear layer on the last state.

    Parameters
    ----------
    n_outputs : int, default=96
        Characters that may come next.
    n_units : int, default=128
        Units of each layer of the LSTM.
    n_embedded : int, default=32
        Width of the embedding.
    """

    def __init__(
        self, n_outputs: int = len(ALPHABET), n_units: int = 128, n_embedded: int = 32
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(ALPHABET), n_embedded)
        self.lstm = nn.LSTM(n_embedded, n_units, num_layers=2, batch_first=True)
        self.fc = nn.Linear(n_units, n_outputs)

    def forward(self, X: Tensor) -> Tensor:
        """The logits of the next character."""
        states, _ = self.lstm(self.embedding(X.long()))
        return self.fc(states[:, -1])


def library_text() -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the characters of the standard library's sources, and of other files of it.

    Every tenth file, in the order of their names, is among the others.
    """
    folder = Path(sysconfig.get_paths()["stdlib"])
    number = {character: i for i, character in enumerate(ALPHABET)}
    parts: tuple[list[int], list[int]] = ([], [])
    for position, file in enumerate(sorted(folder.glob("*.py"))):
        text = file.read_text(encoding="utf-8", errors="ignore")
        parts[position % 10 == 9].extend(number[c] for c in text if c in number)
    train, test = (np.array(part, dtype=np.int64) for part in parts)
    return train, test


def windows(characters: np.ndarray, n_windows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of the text at random places, and the characters that follow them."""
    starts = np.random.default_rng(seed).choice(
        len(characters) - LENGTH, min(n_windows, len(characters) - LENGTH), replace=False
    )
    pieces = characters[starts[:, None] + np.arange(LENGTH)]
    return pieces[:, :-1].astype(np.float32), pieces[:, -1]


def model(seed: int, module: Any, **changes: Any) -> SparseNetClassifier:
    """The estimator with what the rows have in common."""
    options: dict[str, Any] = {
        "sparsifier": None,
        "batch_size": 100,
        "learning_rate": "cosine",
        "learning_rate_init": 2e-3,
        "max_grad_norm": 1.0,
        "n_iter_no_change": 1000,
    }
    return SparseNetClassifier(module, **{**options, **changes}, random_state=seed)


def without_units(
    seed: int, module: Any, share: float, n_dense: int, longer: float
) -> SparseNetClassifier:
    """Intrinsic sparse structures, to a share of the units; most epochs retrain.

    The learning rate is that of the dense network, which `n_dense` epochs train. Small networks
    need so many times `longer`; their epochs are cheaper.
    """
    return model(
        seed,
        module,
        sparsifier=IntrinsicSparseStructures(
            sparsify_fraction=0.3 / longer, min_weight_displacement=1.0
        ),
        target_units=share,
        learning_rate="auto",
        max_iter=round(longer * n_dense),
        compact_during=True,
    )


#: Epochs of the dense networks on images and on text.
N_IMAGES, N_TEXT = 16, 8
IMAGES: dict[str, Any] = {"data": "mnist rows", "n_seeds": 1, "compacts": True}
TEXT: dict[str, Any] = {"data": "characters", "n_seeds": 1, "compacts": True}
SEQUENCES = {
    "LSTM, rows of MNIST, dense": Row(
        lambda seed: model(seed, RowReader, max_iter=N_IMAGES), **IMAGES
    ),
    "LSTM, rows of MNIST, half of the units": Row(
        lambda seed: without_units(seed, RowReader, 0.5, N_IMAGES, 1.5),
        (Limit("units", 0.5), Limit("loss", 0.2), Limit("speedup_100", 1.0, True)),
        note="third setting: 8 epochs, half of them to retrain, gave 1.61 % beside 1.15 % dense",
        against="LSTM, rows of MNIST, dense",
        **IMAGES,
    ),
    "LSTM, characters, dense": Row(
        lambda seed: model(seed, CharacterModel, max_iter=N_TEXT), **TEXT
    ),
    "LSTM, characters, 40 % of the units": Row(
        lambda seed: without_units(seed, CharacterModel, 0.4, N_TEXT, 4.0),
        (Limit("units", 0.4), Limit("ratio", 1.01), Limit("speedup_100", 3.0, True)),
        note="Wen 2018: 10.6x; second setting: 12 epochs gave 1.23 times the dense perplexity",
        against="LSTM, characters, dense",
        **TEXT,
    ),
}

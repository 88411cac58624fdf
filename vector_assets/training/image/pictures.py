"""The images of a run: each has a number, as a text has token ids, under which the network looks its pixels up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vector_assets.encoder.image.decode import decode
from vector_assets.encoder.image.preprocessing import Preprocessing
from vector_assets.errors import NotEncodable, NotFound
from vector_assets.records import Pair

#: Between an image's name and the degrees that it is turned by.
TURNED = "@"
_TURNS = (0, 90, 180, 270)

Pixels = NDArray[np.float32]


class Pictures:
    """Reads and preprocesses images by name; keeps what it is told to prepare, as far as ``kept_bytes`` allow."""

    def __init__(self, read: Callable[[str], bytes], preprocessing: Preprocessing, kept_bytes: int) -> None:
        """``read`` returns the file of a name."""
        self._read, self._preprocessing, self._room = read, preprocessing, kept_bytes
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []
        self._kept: dict[int, Pixels] = {}

    def tokenize(self, names: Sequence[str], is_query: bool = False) -> list[list[int]]:
        """Return what stands for images where texts have their tokens: one number each. Rows and questions are alike.

        Equal names have equal numbers.
        """
        for name in names:
            if name not in self._numbers:
                self._numbers[name] = len(self._names)
                self._names.append(name)
        return [[self._numbers[name]] for name in names]

    def pixels(self, ids: Iterable[Sequence[int]]) -> Pixels:
        """Return (n, 3, height, width). Raises NotEncodable, naming the image, for one that is broken."""
        return np.stack([self._kept[number] if number in self._kept else self._load(number) for (number,) in ids])

    def keep(self, ids: Iterable[Sequence[int]]) -> None:
        """Load these now and keep them, as far as there is room; the others are read each time."""
        for (number,) in ids:
            if self._room <= 0:
                return
            if number not in self._kept:
                self._kept[number] = self._load(number)
                self._room -= self._kept[number].nbytes

    def forget(self) -> None:
        """Drop what is kept."""
        self._room += sum(one.nbytes for one in self._kept.values())
        self._kept.clear()

    def _load(self, number: int) -> Pixels:
        name, _, degrees = self._names[number].partition(TURNED)
        try:
            image = decode(self._read(name))
        except NotEncodable as error:
            raise NotEncodable(f"image {name[:12]} of the training set: {error}") from None
        return self._preprocessing(image.rotate(int(degrees), expand=True) if degrees else image)


def read_from(folder: Path) -> Callable[[str], bytes]:
    """Return a reader of files that have their content's sha256 as name. Raises NotFound for one that is not there."""

    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"{folder}: has no image {name}, which the training set names") from None

    return read


def with_rotations(pairs: Sequence[Pair]) -> list[Pair]:
    """Return labelled images four times, turned; what is turned has a label of its own."""
    return [
        pair if not turn
        else replace(pair, document=f"{pair.document}{TURNED}{turn}", label=f"{pair.label} turned by {turn}")
        for turn in _TURNS
        for pair in pairs
    ]  # fmt: skip

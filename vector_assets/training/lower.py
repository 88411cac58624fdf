"""What frozen layers make of texts, computed once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vector_assets.encoder.text.batching import token_batches
from vector_assets.encoder.text.packed import PackedEngine

if TYPE_CHECKING:
    import torch

#: Tokens in one batch where nothing learns.
INFERENCE_TOKENS = 4096


class Lower:
    """Token vectors after the frozen layers, kept per text, since they never change."""

    def __init__(self, engine: PackedEngine, layers: int, kept_bytes: int) -> None:
        self._engine, self._layers = engine, layers
        self.pooling, self.linear = engine.pooling, engine.linear
        self._most = self._left = kept_bytes
        self._kept: dict[tuple[bool, tuple[int, ...]], torch.Tensor] = {}

    def __call__(self, ids: Sequence[Sequence[int]], *, fast: bool) -> torch.Tensor:
        """Return the tokens of all texts one after the other, (tokens, hidden) float32."""
        import torch

        keys = [(fast, tuple(one)) for one in ids]
        found = {key: self._kept[key] for key in keys if key in self._kept}
        missing = {key[1] for key in keys if key not in found}
        found |= {(fast, one): part for one, part in self._computed(missing, fast=fast)}
        return torch.cat([found[key] for key in keys]).float()

    def keep(self, ids: Iterable[Sequence[int]], *, fast: bool) -> None:
        """Compute and keep texts until memory is spent, the shortest first."""
        missing = sorted({tuple(one) for one in ids if (fast, tuple(one)) not in self._kept}, key=_by_length)
        for places in reversed(token_batches([len(one) for one in missing], INFERENCE_TOKENS)):
            for one, part in self._computed([missing[place] for place in places], fast=fast):
                size = part.numel() * part.element_size()
                if size > self._left:
                    return
                self._left -= size
                self._kept[fast, one] = part.clone()  # a view would keep the whole batch in memory

    def forget(self) -> None:
        """Keep nothing any more."""
        self._kept.clear()
        self._left = self._most

    def _computed(
        self, ids: Collection[tuple[int, ...]], *, fast: bool
    ) -> Iterator[tuple[tuple[int, ...], torch.Tensor]]:
        import torch

        if not ids:
            return
        ordered = sorted(ids, key=_by_length)
        with torch.no_grad():
            hidden, _ = self._engine.hidden(ordered, fast=fast, layers=self._layers)
        yield from zip(ordered, torch.split(hidden, [len(one) for one in ordered]), strict=True)


#: What networks hand on to each other: results of frozen layers, by folder and how many layers are frozen.
Shared = dict[tuple[Path, int], Lower]


def _by_length(ids: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    return len(ids), ids

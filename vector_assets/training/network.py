"""The model while it learns: frozen lower layers computed once per text, upper layers with gradients."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vector_assets.encoder.contract import derive_contract, is_static, own_width
from vector_assets.encoder.text.batching import token_batches
from vector_assets.encoder.text.dense import through
from vector_assets.encoder.text.layers import MIX_TENSOR
from vector_assets.encoder.text.model import cut
from vector_assets.encoder.text.packed import PackedEngine, Run, attend, is_packable, pool, runs_of
from vector_assets.encoder.text.plain import load_sentence_transformer, padded
from vector_assets.errors import EncoderError
from vector_assets.records import Vectors
from vector_assets.training.adapters import add_adapters, merged
from vector_assets.training.dropping import dropouts_in
from vector_assets.training.lower import INFERENCE_TOKENS, Lower, Shared
from vector_assets.training.mix import mix_of, with_mix

if TYPE_CHECKING:
    import torch

#: Bytes of lower-layer results kept; beyond, texts are computed anew each time they are needed.
KEPT_BYTES = 2 << 30


class Network:
    """A checkpoint of which some tensors can learn. Dropout is off unless it is asked for: few pairs, few epochs.

    ``trainable`` is ``last_<k>``, ``all``, ``head`` (nothing here learns) or ``lora``: every matrix inside a layer gets
    an addition of rank ``lora_rank``, drawn by ``seed`` and zero at first, and all else stays as it is. The weights of
    a mix of layers learn with all of these but ``head``; with ``mix`` they alone do; with ``none`` nothing learns.

    Networks that are handed one ``shared`` mapping, one after the other, compute the frozen layers of a text once for
    all of them, as long as the same layers of the same model are frozen.
    """

    def __init__(
        self,
        folder: Path,
        *,
        trainable: str,
        fast: bool = False,
        kept_bytes: int = KEPT_BYTES,
        lora_rank: int = 8,
        seed: int = 0,
        shared: Shared | None = None,
    ) -> None:
        self.name = str(folder)
        if is_static(folder):
            raise EncoderError(f"{folder}: is a table of token vectors, which is not trained; expected a transformer")
        self._model: Any = load_sentence_transformer(folder)
        self._transformer: Any = self._model[0].model
        self.fast = fast
        self._layers = _layers(self._transformer, folder)
        # What a Dense does to the pooled vector stays as it is: only what the layers make of texts is learned.
        self._model.requires_grad_(False)
        self._transformer.requires_grad_(trainable == "all")
        if trainable == "lora":
            add_adapters(self._transformer, self._layers, rank=lora_rank, seed=seed)
        self._adapted = trainable == "lora"
        learning = {"all": len(self._layers), "lora": len(self._layers), "head": 0, "mix": 0, "none": 0}.get(trainable)
        self._frozen = max(0, len(self._layers) - (int(trainable[5:]) if learning is None else learning))
        if trainable.startswith("last_"):
            for layer in self._layers[self._frozen :]:
                layer.requires_grad_(True)
        # Vectors are pooled from tokens: this head is never used, and many stored models have none.
        head: Any = getattr(self._transformer, "pooler", None)
        if head is not None:
            head.requires_grad_(False)
        self._mix = mix_of(self._model, learns=trainable not in ("head", "none"))
        if trainable == "mix" and self._mix is None:
            raise EncoderError(f"{folder}: trainable mix learns the weights of layers; this encoder gives one layer")
        lower = trainable != "all" and self._mix is None and is_packable(folder)
        self._lower: Lower | None = None
        if lower:
            kept: Shared = {} if shared is None else shared
            if (folder, self._frozen) not in kept:
                kept.clear()
                kept[folder, self._frozen] = Lower(PackedEngine.load(folder), self._frozen, kept_bytes)
            self._lower = kept[folder, self._frozen]

        self.width = own_width(folder)  # dims that the model gives; what is learned
        self.dims = derive_contract(folder).dims  # the first of them, which are served

    @property
    def model(self) -> Any:  # noqa: ANN401 - a SentenceTransformer
        """All modules."""
        return self._model

    @property
    def transformer(self) -> Any:  # noqa: ANN401 - any transformers model
        """The module that has the layers."""
        return self._transformer

    @property
    def dropout(self) -> float:
        """The highest dropout that the model was made with."""
        import torch

        return max((m.p for m in self._transformer.modules() if isinstance(m, torch.nn.Dropout)), default=0.0)

    @contextmanager
    def noisy(self) -> Iterator[None]:
        """Switch dropout on for the length of the block."""
        import torch

        self._model.train()
        try:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.fast):
                yield
        finally:
            self._model.eval()

    def dropouts(self) -> list[torch.nn.Dropout]:
        """Return the dropouts of the layers that learn; EncoderError where there are none."""
        return dropouts_in(self._layers[self._frozen :], self.name)

    @property
    def is_mix(self) -> bool:
        """Vectors come from a weighted mean of all layers."""
        return self._mix is not None

    @property
    def layers(self) -> tuple[int, int]:
        """How many layers are frozen, and how many there are."""
        return self._frozen, len(self._layers)

    def parameters(self) -> list[torch.nn.Parameter]:
        """Return what learns."""
        return [parameter for parameter in self._model.parameters() if parameter.requires_grad]

    def scalars(self) -> list[torch.nn.Parameter]:
        """Return the weights of a mix of layers, as far as they learn: as fast as a head does."""
        return [self._mix] if self._mix is not None and self._mix.requires_grad else []

    def weights(self) -> dict[str, torch.Tensor]:
        """Return copies of the tensors that learn, by their names here: what ``restore`` takes."""
        return {name: parameter.detach().clone() for name, parameter in self._named() if parameter.requires_grad}

    def learned(self) -> dict[str, torch.Tensor]:
        """Return what the stored model gets in place of its own, by its names there: additions are merged."""
        learned = merged(self._transformer) if self._adapted else self.weights()
        return with_mix(learned, self._mix)

    def restore(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Put earlier weights back."""
        import torch

        with torch.no_grad():
            for name, parameter in self._named():
                if name in weights:
                    parameter.copy_(weights[name])

    def _named(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        yield from self._transformer.named_parameters()
        if self._mix is not None:
            yield MIX_TENSOR, self._mix

    def prepare(self, ids: Iterable[Sequence[int]]) -> None:
        """Compute the frozen layers of these texts once, as far as memory is allowed, in an order of their own.

        What a text gives depends, in its last bits, on the texts beside it. So only this keeps results, and a run that
        was interrupted goes on with exactly the numbers that it had.
        """
        if self._lower is not None:
            self._lower.keep(ids, fast=self.fast)

    def forget(self) -> None:
        """Drop what ``prepare`` kept."""
        if self._lower is not None:
            self._lower.forget()

    def embed(self, ids: Sequence[Sequence[int]], *, dropout: bool = False) -> torch.Tensor:
        """Return unit float32 vectors (texts, width), with gradients where they are switched on.

        ``dropout`` switches it on in all layers, the frozen ones as well, which are then computed anew.
        """
        import torch

        if dropout:
            with self.noisy():
                found = self._model(padded(self._model.tokenizer, ids))["sentence_embedding"].float()
            return torch.nn.functional.normalize(found, dim=1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.fast):
            if self._lower is None:
                found = self._model(padded(self._model.tokenizer, ids))["sentence_embedding"].float()
            else:
                found = self._embed_packed(self._lower, ids)
        if self._lower is not None:
            found = through(found, self._lower.linear)
        return torch.nn.functional.normalize(found, dim=1)

    def encode(self, ids: Sequence[Sequence[int]]) -> Vectors:
        """Return the vectors of many texts as they are served, without gradients."""
        import torch

        vectors: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = []
        with torch.no_grad():
            for batch in token_batches([len(one) for one in ids], INFERENCE_TOKENS):
                vectors.append((batch, cut(self.embed([ids[place] for place in batch]).numpy(), self.dims)))
        result = np.empty((len(ids), vectors[0][1].shape[1]), np.float32)
        for batch, values in vectors:
            result[batch] = values
        return result

    def _embed_packed(self, lower: Lower, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        import torch

        order = np.argsort([len(one) for one in ids], kind="stable")  # equal lengths side by side
        ordered = [ids[place] for place in order]
        runs = runs_of([len(one) for one in ordered])
        hidden = lower(ordered, fast=self.fast)
        for layer in self._layers[self._frozen :]:
            hidden = _packed_layer(layer, hidden, runs)
        return pool(hidden, runs, lower.pooling)[torch.from_numpy(np.argsort(order))]


def _packed_layer(layer: Any, x: torch.Tensor, runs: Sequence[Run]) -> torch.Tensor:  # noqa: ANN401 - a BertLayer
    """Run a layer of transformers' BERT on tokens without padding, through its own modules, so that it learns."""
    inner = layer.attention.self
    heads = inner.num_attention_heads
    mixed = attend(inner.query(x), inner.key(x), inner.value(x), runs, heads=heads)
    x = layer.attention.output(mixed, x)
    found: torch.Tensor = layer.output(layer.intermediate(x), x)
    return found


def _layers(transformer: Any, folder: Path) -> list[Any]:  # noqa: ANN401 - any transformers model
    import torch

    stacks: list[Any] = [
        module
        for name, module in transformer.named_modules()
        if isinstance(module, torch.nn.ModuleList) and re.search(r"(^|\.)(layers?|block|h)$", name)
    ]
    if not stacks:
        raise EncoderError(f"{folder}: no stack of layers found in {type(transformer).__name__}; set trainable: all")
    deepest: Any = max(stacks, key=len)
    return list(deepest)

"""BERT without padding: all tokens of a batch in one matrix, weights laid out for oneDNN, GELU and residual fused.

Needs torch and tokenizers only, so a process that answers one question starts in a second or two. Nothing here is
trusted by reading: ``model.py`` compares it with stored vectors or with the plain engine before it is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vector_assets.encoder.contract import derive_contract, modules_of, read_json
from vector_assets.encoder.text.dense import Linear, are_linear, read_linear, through
from vector_assets.encoder.text.layers import mix_weights
from vector_assets.records import Vectors

if TYPE_CHECKING:
    import torch

_MODULES = re.compile("Transformer( WeightedLayerPooling)? Pooling( Dense)*( Normalize)?")


def is_packable(folder: Path) -> bool:
    """Tell whether the folder is a standard BERT with one pooling, mean or cls, linear maps at most after it.

    Its weights are in one file, those of linear maps beside it.
    """
    config = read_json(folder / "config.json")
    kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules_of(folder)]
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder")
        and _MODULES.fullmatch(" ".join(kinds)) is not None
        and are_linear(folder)
        and derive_contract(folder).pooling in ("mean", "cls")
        and (folder / "tokenizer.json").is_file()
        and (folder / "model.safetensors").is_file()
    )


class PackedEngine:
    """Runs BERT on the tokens there are. Consecutive texts of equal length share one attention call."""

    name = "packed"

    def __init__(
        self,
        tensors: Mapping[str, torch.Tensor],
        config: Mapping[str, Any],
        *,
        pooling: str,
        mix: Sequence[float] | None = None,
        linear: Sequence[Linear] = (),
    ) -> None:
        """``mix`` weighs the token vectors of the embeddings and of each layer; None takes those of the last.

        ``linear`` are the steps that the pooled vector goes through.
        """
        self._tensors = {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}
        self._config = config
        self.pooling, self.linear, self._mix = pooling, tuple(linear), mix
        self._stacks: dict[bool, _Stack] = {}

    @classmethod
    def load(cls, folder: Path) -> PackedEngine:
        """Read the weights of a packable folder."""
        from safetensors.torch import load_file

        pooling = derive_contract(folder).pooling
        tensors, config = load_file(folder / "model.safetensors"), read_json(folder / "config.json")
        return cls(tensors, config, pooling=pooling, mix=mix_weights(folder), linear=read_linear(folder))

    def run(self, ids: Sequence[Sequence[int]], *, fast: bool) -> Vectors:
        """Return unit float32 vectors, one per text."""
        import torch

        with torch.inference_mode():
            hidden, runs = self.hidden(ids, fast=fast)
            pooled = through(pool(hidden, runs, self.pooling), self.linear)
            unit: Vectors = torch.nn.functional.normalize(pooled, dim=1).numpy()
        return unit.astype(np.float32, copy=False)

    def hidden(
        self, ids: Sequence[Sequence[int]], *, fast: bool, layers: int | None = None
    ) -> tuple[torch.Tensor, list[Run]]:
        """Return the token vectors (tokens, hidden) after the first ``layers`` layers, and where each text lies.

        Without ``layers`` they are those that are pooled: of the last layer there is, or of the mix.
        """
        import torch

        if fast not in self._stacks:
            self._stacks[fast] = _Stack(self._tensors, self._config, torch.bfloat16 if fast else torch.float32)
        runs = runs_of([len(one) for one in ids])
        flat = torch.tensor([token for one in ids for token in one])
        places = torch.cat([torch.arange(run.length).repeat(run.texts) for run in runs])
        return self._stacks[fast](flat, places, runs, layers, self._mix if layers is None else None), runs


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive texts of one length: ``texts`` of them, tokens ``start`` to ``stop`` of the batch."""

    texts: int
    length: int
    start: int
    stop: int


def runs_of(lengths: Sequence[int]) -> list[Run]:
    """Return the runs of equal lengths, in order."""
    runs, start = [], 0
    for length, group in groupby(lengths):
        texts = len(list(group))
        runs.append(Run(texts, length, start, start + texts * length))
        start += texts * length
    return runs


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, runs: Sequence[Run], *, heads: int
) -> torch.Tensor:
    """Return the attention of each text within itself; all (tokens, hidden). Gradients pass through."""
    import torch

    mixed = []
    for run in runs:
        shape = (run.texts, run.length, heads, -1)
        q, k, v = (part[run.start : run.stop].view(shape).transpose(1, 2) for part in (query, key, value))
        found = torch.nn.functional.scaled_dot_product_attention(q, k, v)  # (texts, heads, length, head width)
        mixed.append(found.transpose(1, 2).reshape(run.texts * run.length, -1))
    return torch.cat(mixed)


def pool(hidden: torch.Tensor, runs: Sequence[Run], pooling: str) -> torch.Tensor:
    """Return one float32 vector per text, not yet of unit length. Gradients pass through."""
    import torch

    parts = [hidden[run.start : run.stop].view(run.texts, run.length, -1) for run in runs]
    return torch.cat([part[:, 0].float() if pooling == "cls" else part.float().mean(1) for part in parts])


class _Linear:
    """x W' + b in oneDNN's own weight layout where this CPU has it for the type, else as torch does it."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype) -> None:
        import torch

        self._weight, self._bias = weight.to(dtype).contiguous(), bias.to(dtype).contiguous()
        self._prepacked = True
        try:
            self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight, None)
        except (RuntimeError, NotImplementedError, AttributeError):
            self._prepacked = False

    def __call__(self, x: torch.Tensor, *, gelu: bool = False, plus: torch.Tensor | None = None) -> torch.Tensor:
        import torch

        if self._prepacked:
            packed: torch.Tensor
            if plus is not None:
                packed = torch.ops.mkldnn._linear_pointwise.binary(x, plus, self._weight, self._bias, "add")
            else:
                attribute = "gelu" if gelu else "none"
                packed = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, attribute, [], "none")
            return packed
        result = torch.nn.functional.linear(x, self._weight, self._bias)
        if gelu:
            return torch.nn.functional.gelu(result)
        return result if plus is None else result.add_(plus)


class _Norm:
    def __init__(self, tensors: Mapping[str, torch.Tensor], name: str, epsilon: float, dtype: torch.dtype) -> None:
        self._weight, self._bias = tensors[f"{name}.weight"].to(dtype), tensors[f"{name}.bias"].to(dtype)
        self._epsilon = epsilon

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.nn.functional.layer_norm(x, self._weight.shape, self._weight, self._bias, self._epsilon)


class _Layer:
    def __init__(
        self, tensors: Mapping[str, torch.Tensor], name: str, config: Mapping[str, Any], dtype: torch.dtype
    ) -> None:
        import torch

        self._heads = int(config["num_attention_heads"])
        epsilon = float(config["layer_norm_eps"])
        parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        self._qkv = _Linear(
            torch.cat([tensors[f"{part}.weight"] for part in parts]),
            torch.cat([tensors[f"{part}.bias"] for part in parts]),
            dtype,
        )
        self._out, self._up, self._down = (
            _Linear(tensors[f"{name}.{part}.weight"], tensors[f"{name}.{part}.bias"], dtype)
            for part in ("attention.output.dense", "intermediate.dense", "output.dense")
        )
        self._norm1 = _Norm(tensors, f"{name}.attention.output.LayerNorm", epsilon, dtype)
        self._norm2 = _Norm(tensors, f"{name}.output.LayerNorm", epsilon, dtype)

    def __call__(self, x: torch.Tensor, runs: Sequence[Run]) -> torch.Tensor:
        x = self._norm1(self._out(self._attend(x, runs), plus=x))
        return self._norm2(self._down(self._up(x, gelu=True), plus=x))

    def _attend(self, x: torch.Tensor, runs: Sequence[Run]) -> torch.Tensor:
        tokens, width = x.shape
        query, key, value = self._qkv(x).view(tokens, 3, width).unbind(1)
        return attend(query, key, value, runs, heads=self._heads)


class _Stack:
    """Embeddings and layers in one type."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any], dtype: torch.dtype) -> None:
        self._words = tensors["embeddings.word_embeddings.weight"]
        self._places = (
            tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
        )
        self._norm = _Norm(tensors, "embeddings.LayerNorm", float(config["layer_norm_eps"]), self._words.dtype)
        self._dtype = dtype
        count = int(config["num_hidden_layers"])
        self._layers = [_Layer(tensors, f"encoder.layer.{number}", config, dtype) for number in range(count)]

    def __call__(
        self,
        ids: torch.Tensor,
        places: torch.Tensor,
        runs: Sequence[Run],
        layers: int | None,
        mix: Sequence[float] | None,
    ) -> torch.Tensor:
        x = self._norm(self._words[ids] + self._places[places]).to(self._dtype)
        mixed = x.float() * mix[0] if mix else None
        for number, layer in enumerate(self._layers[:layers], start=1):
            x = layer(x, runs)
            if mixed is not None and mix:
                mixed.add_(x, alpha=mix[number])
        return x if mixed is None else mixed

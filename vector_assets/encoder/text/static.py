"""Context-free vectors: each token has one vector, whatever stands beside it, and a text is the mean of its tokens.

The folder is what sentence-transformers calls StaticEmbedding, so that library loads it as it is: a table of vectors,
a tokenizer without special tokens, and a step to length 1. Here it needs numpy and tokenizers alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vector_assets.encoder.contract import derive_contract
from vector_assets.encoder.text.plain import load_sentence_transformer, rust_tokenizer
from vector_assets.encoder.text.tokens import TextTokens
from vector_assets.errors import EncoderError
from vector_assets.records import Vectors

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: The tensor's name in sentence-transformers; model2vec calls it otherwise.
_TABLE, _TABLES = "embedding.weight", ("embedding.weight", "embeddings")
_MODULE = "sentence_transformers.models."


class StaticEngine:
    """Averages rows of a table, (tokens, dims)."""

    name = "static"

    def __init__(self, table: Vectors) -> None:
        self._table = table

    def run(self, ids: Sequence[Sequence[int]], *, fast: bool) -> Vectors:
        """Return unit float32 vectors, one per text, each of one token or more. There is nothing to compute faster.

        A text whose tokens add up to nothing has no direction; its vector is not finite, which the encoder refuses.
        """
        counts = np.array([len(one) for one in ids])
        flat = np.concatenate([np.asarray(one, dtype=np.int64) for one in ids])
        starts = np.cumsum(counts) - counts
        means = np.add.reduceat(self._table[flat], starts, axis=0, dtype=np.float32) / counts[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            unit: Vectors = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32, copy=False)
        return unit


def load_static(folder: Path, max_tokens: int) -> tuple[StaticEngine, TextTokens]:
    """Read table and tokenizer of a static folder. Raises EncoderError when it has another layout."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    try:
        tensors = load_file(folder / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise EncoderError(f"{folder}: model.safetensors cannot be read: {error}") from None
    name = next((each for each in _TABLES if each in tensors), None)
    if name is None or len(tensors) > 1:
        raise EncoderError(f"{folder}: the weights are {', '.join(sorted(tensors))}; expected {_TABLE} alone")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return StaticEngine(tensors[name].astype(np.float32)), TextTokens(tokenizer, max_tokens, special=False)


def write_static(source: Path, folder: Path) -> None:
    """Write the table of a transformer's input embeddings, with its tokenizer, as a model folder of its own.

    The limit of tokens is the transformer's: both read the same part of a text. Its prefixes are left out, since in a
    mean they would only be added to every text. Raises EncoderError where there are no input embeddings.
    """
    from safetensors.torch import save_file

    model: Any = load_sentence_transformer(source)
    contract = derive_contract(source)
    found = next((module for module in model.modules() if hasattr(module, "get_input_embeddings")), None)
    table = getattr(found.get_input_embeddings() if found is not None else None, "weight", None)
    if table is None or table.ndim != 2:
        raise EncoderError(f"{source}: has no table of token vectors; expected a transformer of texts")
    tokenizer = rust_tokenizer(model, source)
    _write(
        folder / "config.json",
        {
            "architectures": ["StaticEmbedding"], "hidden_size": table.shape[1], "model_type": "static",
            "vocab_size": table.shape[0],
        },
    )  # fmt: skip
    save_file({_TABLE: table.detach().float().cpu().contiguous()}, folder / "model.safetensors", {"format": "pt"})
    _write(folder / "tokenizer_config.json", {"do_lower_case": contract.lowercase})
    modules = [("StaticEmbedding", "."), ("Normalize", "1_Normalize")]
    named = [
        {"idx": place, "name": str(place), "path": path, "type": _MODULE + kind}
        for place, (kind, path) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(named, indent=2) + "\n", encoding="utf-8")
    _save(tokenizer, folder, contract.max_tokens)


def limit_tokens(folder: Path, max_tokens: int) -> None:
    """State a limit of tokens where sentence-transformers reads it of such a model: in the tokenizer."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    if (tokenizer.truncation or {}).get("max_length") != max_tokens:
        _save(tokenizer, folder, max_tokens)


def _save(tokenizer: Tokenizer, folder: Path, max_tokens: int) -> None:
    side = (tokenizer.truncation or {}).get("direction", "right")
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens, direction=side.lower())
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "sentence_bert_config.json", {"max_seq_length": max_tokens})


def _write(path: Path, value: Mapping[str, object]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")

"""The engine that runs any sentence-transformers folder, padded, through that library's own modules."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vector_assets.encoder.quiet import quiet
from vector_assets.errors import EncoderError
from vector_assets.records import Vectors

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer


def load_sentence_transformer(folder: Path) -> SentenceTransformer:
    """Load a folder offline and without running code of its own. Raises EncoderError when the library refuses it."""
    from sentence_transformers import SentenceTransformer

    with quiet():
        try:
            model = SentenceTransformer(
                str(folder), device="cpu", local_files_only=True, trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": "float32"},
            )  # fmt: skip
        except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise EncoderError(f"{folder}: cannot be loaded as a text encoder: {first}") from error
    return model.eval()


def rust_tokenizer(model: SentenceTransformer, folder: Path) -> Tokenizer:
    """Return a copy of the model's Rust tokenizer, ours to set limits on."""
    from tokenizers import Tokenizer

    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise EncoderError(
            f"{folder}: tokenizer.json is missing and the tokenizer has no fast form; save a fast tokenizer"
        )
    return Tokenizer.from_str(backend.to_str())


class PlainEngine:
    """Pads each batch to its longest text."""

    name = "plain"

    def __init__(self, model: SentenceTransformer) -> None:
        self._full = model
        self._fast: SentenceTransformer | None = None

    def run(self, ids: Sequence[Sequence[int]], *, fast: bool) -> Vectors:
        """Return unit float32 vectors, one per text."""
        import torch

        if fast and self._fast is None:
            self._fast = copy.deepcopy(self._full).to(torch.bfloat16)
        model = self._fast if fast and self._fast is not None else self._full
        with torch.inference_mode():
            vectors = model(padded(model.tokenizer, ids))["sentence_embedding"].float()
            unit: Vectors = torch.nn.functional.normalize(vectors, dim=1).numpy().astype(np.float32, copy=False)
        return unit


def padded(tokenizer: Any, ids: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:  # noqa: ANN401 - any HF tokenizer
    """Return ids, mask and, where the model reads them, segment ids as tensors padded to the longest text."""
    import torch

    longest = max(len(one) for one in ids)
    values = np.full((len(ids), longest), tokenizer.pad_token_id or 0, dtype=np.int64)
    mask = np.zeros_like(values)
    for row, one in enumerate(ids):
        where = slice(longest - len(one), None) if tokenizer.padding_side == "left" else slice(len(one))
        values[row, where] = one
        mask[row, where] = 1
    features = {"input_ids": torch.from_numpy(values), "attention_mask": torch.from_numpy(mask)}
    if "token_type_ids" in tokenizer.model_input_names:
        features["token_type_ids"] = torch.zeros_like(features["input_ids"])
    return features

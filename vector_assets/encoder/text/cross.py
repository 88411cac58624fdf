"""Cross-encoder: (question, text) pairs -> how well the text answers, read together by one model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vector_assets.encoder.contract import own_limit, read_json
from vector_assets.encoder.files import check_folder, checkpoint_digest
from vector_assets.encoder.quiet import quiet
from vector_assets.encoder.resolve import cached, resolve_encoder
from vector_assets.encoder.text.batching import token_batches
from vector_assets.errors import EncoderError, NotFinite

if TYPE_CHECKING:
    import torch

_HEAD = "ForSequenceClassification"


class CrossEncoder:
    """Any sequence classification checkpoint of transformers with one or two labels, from a folder of safetensors.

    Nogueira and Cho (2019), "Passage re-ranking with BERT". Nothing is fetched, and no code of the folder runs.
    ``digest`` names its files as that of an encoder does.
    """

    def __init__(self, folder: Path, *, max_tokens: int | None = None) -> None:
        """Load it. Pairs are cut at ``max_tokens``, or the model's own limit; raises EncoderError."""
        check_cross_folder(folder)
        limit = own_limit(folder)
        if max_tokens and max_tokens > limit:
            raise EncoderError(f"{folder}: max_tokens {max_tokens} is more than the model's own limit of {limit}")
        self.folder = folder
        self.digest = checkpoint_digest(folder)
        self.max_tokens = max_tokens or limit
        self._model, self._tokenizer = _load(folder)

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return a score per text (n,), higher is better: the one logit, or that of label 1 minus that of label 0.

        Scores of one question compare; they are no probabilities. Pairs that are too long lose the end of the longer
        one. Like lengths are computed together.
        """
        found = np.empty(len(texts), np.float64)
        if not texts:
            return found
        pairs = self._tokenizer(
            [question] * len(texts), list(texts), truncation="longest_first", max_length=self.max_tokens, padding=False
        )
        for batch in token_batches([len(ids) for ids in pairs["input_ids"]]):
            found[batch] = self._logits({name: [values[i] for i in batch] for name, values in pairs.items()})
        if not np.isfinite(found).all():
            raise NotFinite(f"{self.folder}: the model gives scores that are not finite; its weights may be damaged")
        return found

    def _logits(self, features: dict[str, list[list[int]]]) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode():
            logits: torch.Tensor = self._model(**self._tokenizer.pad(features, return_tensors="pt")).logits.double()
        values: NDArray[np.float64] = (logits[:, -1] - logits[:, 0] if logits.shape[1] == 2 else logits[:, 0]).numpy()
        return values


def check_cross_folder(folder: Path) -> None:
    """Raise EncoderError unless a folder holds a sequence classification model of one or two labels, as safetensors."""
    check_folder(folder)
    config = read_json(folder / "config.json")
    named = ", ".join(map(str, config.get("architectures") or ())) or "no architecture"
    if not named.endswith(_HEAD):
        raise EncoderError(
            f"{folder}: config.json names {named}; rerank expects a cross-encoder, a model whose name ends in {_HEAD}"
        )
    labels = len(config.get("id2label") or ()) or int(config.get("num_labels", 2))
    if labels not in (1, 2):
        raise EncoderError(f"{folder}: the model tells {labels} labels apart; rerank expects one, or no and yes")


def resolve_cross(name: str, *, folder: Path) -> Path:
    """Return the checked folder of ``./folder`` or ``hf:owner/name@revision``; the latter has to be in the cache.

    Relative folders start from ``folder``. Raises EncoderError, in one line, for anything else.
    """
    if not name.startswith((".", "/", "~", "hf:")):
        raise EncoderError(f"{name}: no cross-encoder; expected ./folder or hf:owner/name@revision")
    return resolve_encoder(name, folder=folder, download=cached, check=check_cross_folder)


def _load(folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
            model, info = AutoModelForSequenceClassification.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True,
                dtype=torch.float32, output_loading_info=True,
            )  # fmt: skip
        except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise EncoderError(f"{folder}: cannot be loaded as a cross-encoder: {first}") from error
    # transformers fills what is missing with random numbers, and a head of those ranks at random.
    missing = sorted(info["missing_keys"])
    if missing:
        raise EncoderError(f"{folder}: the weights lack {missing[0]}; expected a model that was trained to judge pairs")
    return model.eval(), tokenizer

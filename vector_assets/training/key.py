"""What names a training: equal ingredients, equal key, and nothing is trained twice."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from vector_assets.encoder.contract import ContractSettings
from vector_assets.encoder.open import Settings
from vector_assets.spec import LABELLED, Training

#: Raised by hand when the same training set and settings would give other weights.
CODE_VERSION = "1"

#: Settings that say where pairs come from; the training set's own digest already says what they are.
SOURCES = {"pairs", "labels", "triplets", "relevance", "clicks", "negatives", "split"}
_NOT_IN_KEY = SOURCES | {"max_pairs", "max_validation", "max_test", "max_gap", "teacher", "curve"}

#: Settings that came later: in a key only where they are not the default, so that known checkpoints stay known.
_LATER = {"lora_rank", "matryoshka", "pretrain", "layers", "head", "search", "start", "augment", "dropout"}


def training_key(
    training_set: str,
    training: Training,
    base: str,
    settings: Settings | None = None,
    *,
    teacher: str | None = None,
) -> str:
    """Return what names a run by its ingredients: digests of training set and base, settings, version of this code.

    ``teacher`` is the digest of the checkpoint to imitate.
    """
    defaults = {name: Training.model_fields[name].default for name in _LATER}
    as_ever = {name for name, default in defaults.items() if getattr(training, name) == default}
    stated = asdict(settings or ContractSettings()).items()
    later = ("dims", "layer")
    contract = {name: value for name, value in stated if name not in later or value is not None}
    ingredients = {
        "training_set": training_set,
        "training": training.model_dump(mode="json", exclude=_NOT_IN_KEY | as_ever),
        "base": base,
        "settings": contract,
        "code": CODE_VERSION,
        **({"teacher": teacher} if teacher else {}),
        **({"chosen_by": "map"} if training.objective in LABELLED else {}),  # was mrr@10
        **({"centres": "probe"} if _starts_at_probe(training) else {}),  # were the means
    }
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()


def _starts_at_probe(training: Training) -> bool:
    return training.objective == "arcface" and training.head.start == "fitted"

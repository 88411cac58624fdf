"""What names a training: equal ingredients, equal key, and nothing is trained twice."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from vector_assets.encoder.contract import ContractSettings
from vector_assets.encoder.open import Settings
from vector_assets.spec import LABELLED, LOSS_SETTINGS, Training

#: Raised by hand when the same training set and settings would give other weights.
CODE_VERSION = "1"

#: Settings that say where pairs come from; the training set's own digest already says what they are.
SOURCES = {"pairs", "labels", "triplets", "relevance", "clicks", "negatives", "split"}
_NOT_IN_KEY = SOURCES | {"max_pairs", "max_validation", "max_test", "max_gap", "teacher", "curve"}

#: Settings that came later: in a key only where they are not the default, so that known checkpoints stay known.
_LATER = {"lora_rank", "matryoshka", "pretrain", "layers", "head", "search", "start", "augment", "dropout"}
_LATER_SEARCHED = {"margin", "scale"}


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
    usual = {name: (None, own.get(training.objective)) for name, own in LOSS_SETTINGS.items()}
    as_ever |= {name for name, values in usual.items() if getattr(training, name) in values}
    left_out: dict[str, Any] = dict.fromkeys(_NOT_IN_KEY | as_ever, True)
    if training.search:
        left_out["search"] = {name for name in _LATER_SEARCHED if getattr(training.search, name) is None}
    stated = asdict(settings or ContractSettings()).items()
    later = ("dims", "layer", "revision")
    contract = {name: value for name, value in stated if name not in later or value is not None}
    ingredients = {
        "training_set": training_set,
        "training": training.model_dump(mode="json", exclude=left_out),
        "base": base,
        "settings": contract,
        "code": CODE_VERSION,
        **({"teacher": teacher} if teacher else {}),
        **({"chosen_by": "map"} if training.objective in LABELLED else {}),  # was mrr@10
        **({"centres": "probe"} if _starts_at_probe(training) else {}),  # were the means
        # What the first stage did ate of the patience of the second.
        **({"patience": "of each stage"} if training.pretrain else {}),
    }
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()


def _starts_at_probe(training: Training) -> bool:
    return training.objective == "arcface" and training.head.start == "fitted"

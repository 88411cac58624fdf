"""What a run is made of, as its page in MLflow says it before anything is learned."""

from __future__ import annotations

import json
from collections.abc import Mapping

from vector_assets.encoder.contract import Contract
from vector_assets.encoder.open import stored_contract
from vector_assets.records import Checkpoint, RunLog, TrainingSet
from vector_assets.spec import Training
from vector_assets.training.key import CODE_VERSION, SOURCES
from vector_assets.training.session import Session

Logged = str | int | float | bool


def log_start(
    log: RunLog,
    key: str,
    training_set: TrainingSet,
    training: Training,
    base: Checkpoint,
    session: Session,
    base_log: RunLog | None = None,
    compared: Checkpoint | None = None,
) -> None:
    """Log what a run is made of; ``compared`` is the checkpoint of ``base_log``."""
    frozen, layers = session.network.layers
    own: dict[str, Logged] = {"frozen_layers": frozen, "layers": layers, "bfloat16": session.network.fast}
    own |= {f"objective_{name}": value for name, value in session.settings.items()}
    log_ingredients(log, key, training_set, training, base, own, base_log, compared)


def log_ingredients(
    log: RunLog,
    key: str,
    training_set: TrainingSet,
    training: Training,
    base: Checkpoint,
    own: Mapping[str, Logged],
    base_log: RunLog | None = None,
    compared: Checkpoint | None = None,
) -> None:
    """Log training set, declaration and base, and what is the run's ``own``."""
    contract = stored_contract(base.contract)
    said = {"max_tokens", "layer"} if isinstance(contract, Contract) else {"model", "pooling"}
    shared: dict[str, Logged] = {
        "training_set": training_set.digest,
        "base_checkpoint": base.digest,
        **contract.model_dump(mode="json", include=said),
    }
    # Told elsewhere: by the training set, the objective, the trials, the curve.
    told = SOURCES - {"negatives"} | {"head", "search", "curve"}
    chosen = training.model_dump(mode="json", exclude=told)
    log.params({
        **shared,
        **{name: _shown(value) for name, value in chosen.items()},
        # What single positions of a log came to is in report.json: there may be hundreds.
        **{f"pairs_{name}": n for name, n in training_set.report.items() if not name.startswith("position_")},
        "code_version": CODE_VERSION,
        **own,
    })  # fmt: skip
    log.tags({"training_key": key, "arm": "tuned"})
    if base_log and compared:
        base_log.params({**shared, "base_checkpoint": compared.digest})
        base_log.tags({"training_key": key, "arm": "base", "checkpoint": compared.digest})


def _shown(value: str | float | list[object] | dict[str, object] | None) -> Logged:
    if isinstance(value, list | dict):
        return json.dumps(value)
    return "" if value is None else value

"""Training an encoder that gives a lower layer, or a mix of layers."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from runlog import MemoryLog
from safetensors.torch import load_file

from vector_assets.encoder import ContractSettings, TextEncoder, load_encoder
from vector_assets.encoder.text.layers import mix_weights
from vector_assets.errors import EncoderError
from vector_assets.records import TrainingSet
from vector_assets.spec import TextSpace, Training
from vector_assets.training import Trained, train
from vector_assets.training.retrieval import judge, pool_of


def _train(keywords: TrainingSet, base: Path, folder: Path, training: Training, settings: ContractSettings) -> Trained:
    return train(
        keywords, training, base, destination=folder, log=MemoryLog(), base_log=MemoryLog(), settings=settings
    )  # fmt: skip


def _changed(found: Trained) -> set[str]:
    before, after = (load_file(one.folder / "model.safetensors") for one in (found.base, found.checkpoint))
    return {name for name in before if not before[name].equal(after[name])}


def _require_that_it_scores_as_told(found: Trained, keywords: TrainingSet) -> TextEncoder:
    """Load what was stored, ask it the test questions, and compare with what the training said of them."""
    pool = pool_of(keywords.split("test"))
    encoder = load_encoder(found.checkpoint.folder)
    queries = encoder.encode_queries([query.text for query in pool.queries])
    scored = judge(pool, queries, encoder.encode_documents(pool.documents).vectors)
    assert scored.metrics == pytest.approx(dict(found.test))
    return encoder


def test_the_last_layer_that_learns_is_the_last_that_is_given(
    keywords: TrainingSet, base: Path, tmp_path: Path, training: Training
) -> None:
    one = training.model_copy(update={"trainable": "last_1", "max_epochs": 3})
    found = _train(keywords, base, tmp_path, one, ContractSettings(layer=2))
    assert found.improved and found.checkpoint.contract["layer"] == found.base.contract["layer"] == 2
    changed = _changed(found)
    assert changed and all(".layer.1." in f".{name}" for name in changed)
    _require_that_it_scores_as_told(found, keywords)


def test_a_mix_alone_learns_weights_that_sum_to_one_and_leaves_the_layers_bit_equal(
    keywords: TrainingSet, base: Path, tmp_path: Path, training: Training
) -> None:
    mix = training.model_copy(update={"trainable": "mix", "learning_rate": 5e-3, "max_epochs": 4})
    found = _train(keywords, base, tmp_path, mix, ContractSettings(layer="mix"))
    weights = mix_weights(found.checkpoint.folder)
    assert found.improved and weights and sum(weights) == pytest.approx(1, abs=1e-6)
    assert max(weights) > 0.3 and mix_weights(found.base.folder) == pytest.approx([0.25] * 4)
    assert _changed(found) == set()
    losses = [step.loss for step in found.history.steps]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("trainable", ["last_1", "lora"])
def test_a_mix_learns_with_the_layers(
    keywords: TrainingSet, base: Path, tmp_path: Path, training: Training, trainable: str
) -> None:
    both = training.model_copy(update={"trainable": trainable, "max_epochs": 3})
    found = _train(keywords, base, tmp_path, both, ContractSettings(layer="mix"))
    assert found.improved and _changed(found)
    assert mix_weights(found.checkpoint.folder) != pytest.approx([0.25] * 4, abs=1e-4)
    assert _require_that_it_scores_as_told(found, keywords).engine == "packed"


def test_a_mix_that_is_not_there_cannot_learn(
    keywords: TrainingSet, base: Path, tmp_path: Path, training: Training
) -> None:
    with pytest.raises(EncoderError, match="trainable mix learns the weights of layers; this encoder gives one"):
        _train(keywords, base, tmp_path, training.model_copy(update={"trainable": "mix"}), ContractSettings())
    with pytest.raises(ValidationError, match="mix learns the weights of layers; the space needs layer: mix"):
        TextSpace.model_validate({"fields": ["text"], "train": {"pairs": "p.jsonl", "trainable": "mix"}})
    TextSpace.model_validate({"fields": ["text"], "layer": "mix", "train": {"pairs": "p.jsonl", "trainable": "mix"}})

"""LoRA: only the additions learn, and what is stored is a plain folder with them merged."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from runlog import MemoryLog

from vector_assets.encoder import load_encoder, make_checkpoint
from vector_assets.errors import EncoderError
from vector_assets.records import TrainingSet
from vector_assets.spec import Training
from vector_assets.training import train
from vector_assets.training.network import Network
from vector_assets.training.retrieval import judge, pool_of


def test_what_is_stored_is_plain_and_merged_and_all_else_bit_equal(
    keywords: TrainingSet, base: Path, tmp_path: Path, training: Training
) -> None:
    from safetensors.torch import load_file

    changes = {"trainable": "lora", "lora_rank": 4, "max_epochs": 3, "patience": 3, "learning_rate": 1e-2}
    found = train(
        keywords, training.model_copy(update=changes), base, destination=tmp_path, log=MemoryLog(), base_log=MemoryLog()
    )
    assert found.improved and found.comparison.low > 0
    before, after = (load_file(one.folder / "model.safetensors") for one in (found.base, found.checkpoint))
    assert before.keys() == after.keys(), "no adapter in the folder"
    assert {p.name for p in found.base.folder.rglob("*")} == {p.name for p in found.checkpoint.folder.rglob("*")}
    moved = {name for name in before if not before[name].equal(after[name])}
    matrices = {name for name in before if ".layer." in name and name.endswith("weight") and "LayerNorm" not in name}
    assert moved == matrices
    import torch

    for name in moved:  # what was added has the rank that was declared
        values = torch.linalg.svdvals((after[name] - before[name]).double())
        assert values[4] < 1e-5 * values[0]
    pool = pool_of(keywords.split("test"))
    encoder = load_encoder(found.checkpoint.folder)
    queries = encoder.encode_queries([query.text for query in pool.queries])
    again = judge(pool, queries, encoder.encode_documents(pool.documents).vectors).metrics
    assert again == pytest.approx(dict(found.test), abs=1e-3)


def test_additions_are_zero_at_first_and_drawn_by_seed(base: Path, tmp_path: Path) -> None:
    import torch

    stored = make_checkpoint(base, tmp_path).folder
    ids = [[2, 7, 9, 3], [2, 11, 3]]
    plain = Network(stored, trainable="last_1")
    first, second, other = (Network(stored, trainable="lora", seed=seed) for seed in (0, 0, 1))
    assert torch.allclose(torch.from_numpy(first.encode(ids)), torch.from_numpy(plain.encode(ids)), atol=1e-6)
    ours, again, others = first.weights(), second.weights(), other.weights()
    assert all(ours[name].equal(again[name]) for name in ours)
    assert any(not ours[name].equal(others[name]) for name in ours)
    assert all("lora_" in name for name in ours) and first.layers == (0, 3)
    narrow, wide = (
        sum(one.numel() for one in Network(stored, trainable="lora", lora_rank=rank).parameters()) for rank in (2, 8)
    )
    assert wide == 4 * narrow


def test_without_peft_it_says_what_to_install(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = make_checkpoint(base, tmp_path).folder
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(EncoderError, match=r"lora needs peft; install vector-assets\[lora\]"):
        Network(stored, trainable="lora")

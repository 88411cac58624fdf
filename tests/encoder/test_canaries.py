"""Canaries: what trips them, and what the message says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny import set_pooling

from vector_assets.encoder import check_canaries, load_encoder, require
from vector_assets.encoder.text.model import TextEncoder
from vector_assets.errors import CanaryMismatch
from vector_assets.records import Checkpoint


def test_an_unchanged_checkpoint_passes_on_both_paths(minilm: Checkpoint) -> None:
    report = require(check_canaries(load_encoder(minilm.folder), minilm.canaries, stored=minilm.digest))
    assert report.passed and min(report.query_cosine, report.document_cosine) > 0.9999
    assert {canary.role for canary in minilm.canaries} == {"query", "document"} and len(minilm.canaries) == 16


def test_the_stated_bound_is_wider_in_fast_precision_only(tiny: Checkpoint) -> None:
    assert TextEncoder(tiny.folder, precision="full").bulk_bound == 0.9999
    assert TextEncoder(tiny.folder, precision="fast").bulk_bound == 0.9995


def test_mean_pooling_switched_off_trips_them(minilm: Checkpoint, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(minilm.folder, tmp_path / "model"))
    text = (copy / "1_Pooling" / "config.json").read_text()
    swapped = text.replace('cls_token": false', 'cls_token": true').replace('mean_tokens": true', 'mean_tokens": false')
    (copy / "1_Pooling" / "config.json").write_text(swapped)
    encoder = load_encoder(copy)
    with pytest.raises(CanaryMismatch) as caught:
        require(check_canaries(encoder, minilm.canaries, stored=minilm.digest))
    message = str(caught.value)
    assert minilm.digest[:12] in message and encoder.digest[:12] in message
    assert "document '" in message and "expected at least 0.9999" in message and "\n" not in message


@pytest.mark.parametrize("change", ["weights", "tokenizer", "pooling"])
def test_any_change_of_the_model_trips_them(tiny: Checkpoint, tmp_path: Path, change: str) -> None:
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(tiny.folder, tmp_path / "model"))
    if change == "weights":
        tensors = load_file(copy / "model.safetensors")
        tensors["encoder.layer.1.intermediate.dense.weight"] *= -1
        save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    elif change == "pooling":
        set_pooling(copy, "cls")
    else:
        text = (copy / "tokenizer.json").read_text()
        (copy / "tokenizer.json").write_text(text.replace('"a1": 6', '"a1": 200').replace('"a1":6', '"a1":200'))
        assert (copy / "tokenizer.json").read_text() != text
    report = check_canaries(load_encoder(copy), tiny.canaries, stored=tiny.digest)
    assert not report.passed
    with pytest.raises(CanaryMismatch, match=tiny.digest[:12]):
        require(report)


def test_other_dims_trip_them(tiny: Checkpoint, minilm: Checkpoint) -> None:
    with pytest.raises(CanaryMismatch, match="32 dims instead of 384"):
        require(check_canaries(load_encoder(tiny.folder), minilm.canaries, stored=minilm.digest))

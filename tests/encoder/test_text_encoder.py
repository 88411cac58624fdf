"""TextEncoder: order, truncation, bulk against single, both engines, precision."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vector_assets.encoder import ContractSettings, TextEncoder, load_encoder, make_checkpoint
from vector_assets.encoder.text.batching import padded_tokens, token_batches
from vector_assets.encoder.text.packed import is_packable, runs_of
from vector_assets.encoder.text.precision import SWITCH, has_bfloat16, measure
from vector_assets.errors import EncoderError, UserError
from vector_assets.records import Checkpoint, Encoder

TEXTS = [
    "Return the indices of the maximum values along an axis.",
    "short",
    "The committee approved next year's budget after a long debate that lasted until the early morning. " * 4,
    "def close(self): self._connection.close()",
    "Größe, naïve, 東京, and an emoji 🙂",
    "one two three four five six seven eight nine ten",
]


def test_minilm_gives_the_vectors_of_sentence_transformers_in_order(minilm: Checkpoint) -> None:
    from sentence_transformers import SentenceTransformer

    encoder: Encoder = load_encoder(minilm.folder)
    wanted = SentenceTransformer(str(minilm.folder), device="cpu").encode(TEXTS, normalize_embeddings=True)
    found = encoder.encode_documents(TEXTS)
    assert found.vectors.dtype == np.float32 and found.vectors.shape == (len(TEXTS), encoder.dims)
    assert np.sum(found.vectors * wanted, axis=1).min() >= 0.9995
    assert np.sum(encoder.encode_queries(TEXTS) * wanted, axis=1).min() >= 0.99999
    assert np.abs(np.linalg.norm(found.vectors, axis=1) - 1).max() < 1e-5


@pytest.mark.parametrize("engine", ["packed", "plain"])
def test_in_full_precision_documents_are_those_of_sentence_transformers_to_five_digits(
    minilm: Checkpoint, engine: Literal["packed", "plain"]
) -> None:
    from sentence_transformers import SentenceTransformer

    library = SentenceTransformer(str(minilm.folder), device="cpu")
    wanted = library.encode_document(TEXTS, normalize_embeddings=True)
    found = TextEncoder(minilm.folder, engine=engine, precision="full").encode_documents(TEXTS).vectors
    assert np.abs(found - wanted).max() < 1e-5
    assert np.abs(np.sum(found * wanted, axis=1) - 1).max() < 1e-5


def test_one_and_many_and_both_engines_agree(minilm: Checkpoint) -> None:
    packed = TextEncoder(minilm.folder, engine="packed", precision="full")
    plain = TextEncoder(minilm.folder, engine="plain", precision="full")
    assert (packed.engine, plain.engine) == ("packed", "plain")
    many = packed.encode_documents(TEXTS).vectors
    single = np.concatenate([packed.encode_documents([text]).vectors for text in TEXTS])
    assert np.sum(many * single, axis=1).min() >= 0.99999
    assert np.sum(many * plain.encode_documents(TEXTS).vectors, axis=1).min() >= 0.99999
    for text in TEXTS:
        assert packed.tokenize([text], role="query").ids == plain.tokenize([text], role="query").ids


def test_fast_precision_stays_within_its_bound(minilm: Checkpoint) -> None:
    texts = TEXTS[:2] + TEXTS[3:]  # bfloat16 is slow where it is emulated
    exact = TextEncoder(minilm.folder, precision="full").encode_documents(texts).vectors
    for engine in ("packed", "plain"):
        rough = TextEncoder(minilm.folder, precision="fast", engine=engine).encode_documents(texts).vectors  # type: ignore[arg-type]
        cosines = np.sum(exact * rough, axis=1)
        assert cosines.min() >= 0.9995 and cosines.mean() >= 0.9999
        assert np.abs(exact - rough).max() > 0


def test_bfloat16_can_be_switched_off(minilm: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.delenv(SWITCH)
    assert has_bfloat16()
    monkeypatch.setenv(SWITCH, "off")
    assert not has_bfloat16()
    encoder = TextEncoder(minilm.folder)
    exact = TextEncoder(minilm.folder, precision="full").encode_documents(TEXTS).vectors
    assert np.array_equal(encoder.encode_documents(TEXTS).vectors, exact) and encoder.bulk_bound == 0.9999
    monkeypatch.setenv(SWITCH, "no")
    with pytest.raises(UserError, match="VECTOR_ASSETS_BFLOAT16: expected auto or off, found 'no'"):
        has_bfloat16()


def test_truncation_is_exact_to_the_token(tiny_source: Path, tmp_path: Path) -> None:
    stored = make_checkpoint(tiny_source, tmp_path, settings=ContractSettings(max_tokens=8))
    for engine in ("packed", "plain"):
        encoder = TextEncoder(stored.folder, engine=engine)  # type: ignore[arg-type]
        found = encoder.encode_documents(["a1 a2 a3 a4 a5 a6", "a1 a2 a3 a4 a5 a6 a7", "a1"])
        assert found.truncated.tolist() == [False, True, False]  # six words and two special tokens make eight
        assert found.tokens == 8 + 8 + 3
        assert np.allclose(found.vectors[0], found.vectors[1])


def test_prefixes_belong_to_their_role(tiny_source: Path, tmp_path: Path) -> None:
    stored = make_checkpoint(
        tiny_source, tmp_path, settings=ContractSettings(query_prefix="g1 ", document_prefix="g2 ")
    )
    encoder = load_encoder(stored.folder)
    bare = load_encoder(make_checkpoint(tiny_source, tmp_path).folder)
    assert np.allclose(encoder.encode_queries(["a1"]), bare.encode_queries(["g1 a1"]), atol=1e-6)
    assert np.allclose(encoder.encode_documents(["a1"]).vectors, bare.encode_queries(["g2 a1"]), atol=1e-6)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_packed_bert_equals_plain_for_each_pooling(tmp_path: Path, pooling: str) -> None:
    from tiny import make_tiny_bert

    stored = make_checkpoint(make_tiny_bert(tmp_path / "model", pooling=pooling), tmp_path / "root")
    encoder, plain = load_encoder(stored.folder), TextEncoder(stored.folder, engine="plain")
    assert encoder.engine == "packed"
    texts = ["a1 a2", "b1 b2", "c1", "d1 d2 d3 d4 d5", "e1 e2"]
    assert np.abs(encoder.encode_queries(texts) - plain.encode_queries(texts)).max() < 1e-5


def test_a_model_that_is_no_bert_takes_the_plain_engine(tiny_source: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_source, tmp_path / "model"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    assert not is_packable(copy)
    stored = make_checkpoint(copy, tmp_path / "root")
    assert load_encoder(stored.folder).engine == "plain"
    with pytest.raises(EncoderError, match="not a standard BERT"):
        TextEncoder(stored.folder, engine="packed")


def test_the_packed_engine_gives_way_when_it_does_not_give_the_canaries(tiny: Checkpoint, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny.folder, tmp_path / "model"))
    canaries = json.loads((copy / "canaries.json").read_text())
    canaries[0]["vector"] = canaries[1]["vector"]
    (copy / "canaries.json").write_text(json.dumps(canaries))
    assert load_encoder(tiny.folder).engine == "packed"
    assert load_encoder(copy).engine == "plain"
    (copy / "canaries.json").unlink()  # then it is compared with the plain engine itself
    assert load_encoder(copy).engine == "packed"


@pytest.mark.parametrize("empty", ["", "  \n"])
def test_empty_texts_are_named_and_no_texts_give_no_vectors(tiny: Checkpoint, empty: str) -> None:
    encoder = load_encoder(tiny.folder)
    with pytest.raises(EncoderError, match="text 1 of 2 is empty"):
        encoder.encode_documents(["a1", empty])
    with pytest.raises(EncoderError, match="empty"):
        encoder.encode_queries([empty])
    assert encoder.encode_documents([]).vectors.shape == (0, 32)
    assert encoder.encode_queries([]).shape == (0, 32)


def test_damaged_weights_are_told(tiny: Checkpoint, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(tiny.folder, tmp_path / "model"))
    tensors = load_file(copy / "model.safetensors")
    tensors["encoder.layer.0.output.dense.bias"][0] = torch.nan
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="not finite"):
        load_encoder(copy).encode_queries(["a1"])


@given(st.lists(st.integers(1, 300), max_size=80), st.integers(16, 400))
def test_batches_hold_every_text_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = token_batches(lengths, budget)
    assert sorted(int(place) for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= budget
    assert padded_tokens(lengths, batches) >= sum(lengths)


def test_sorted_batches_waste_little() -> None:
    lengths = np.random.default_rng(0).integers(3, 256, 2000).tolist()
    assert padded_tokens(lengths, token_batches(lengths)) < 1.03 * sum(lengths)


def test_runs_of_equal_lengths() -> None:
    assert [(run.texts, run.length, run.start, run.stop) for run in runs_of([5, 5, 3, 5])] == [
        (2, 5, 0, 10), (1, 3, 10, 13), (1, 5, 13, 18),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "angle", "chosen"),
    [(0.5, 0.001, "fast"), (0.9, 0.001, "full"), (0.1, 0.05, "full"), (0.1, np.nan, "full")],
)
def test_precision_is_fast_only_when_faster_and_true(seconds: float, angle: float, chosen: str) -> None:
    now = [0.0]

    def run(cost: float, turn: float) -> np.ndarray:
        now[0] += cost
        return np.array([[np.cos(turn), np.sin(turn)]], np.float32)

    report = measure(lambda: run(1.0, 0.0), lambda: run(seconds, angle), clock=lambda: now[0])
    assert report.precision == chosen

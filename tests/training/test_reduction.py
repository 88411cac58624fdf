"""Dims chosen by the rows' own vectors: the map, what it is compared with, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from runlog import MemoryLog
from sentence_transformers import SentenceTransformer

from vector_assets.encoder import ContractSettings, load_encoder, make_checkpoint
from vector_assets.encoder.intact import require_intact
from vector_assets.errors import EncoderError, SpecError
from vector_assets.records import TrainingSet, Vectors
from vector_assets.spec import Training
from vector_assets.training import Trained, reduce_dims, train
from vector_assets.training.history import Progress
from vector_assets.training.pair_rows import PairRow
from vector_assets.training.pairs import pairs_from_rows
from vector_assets.training.unlabelled import asked_by_own_words

DIMS = 6


@pytest.fixture(scope="module")
def pca() -> Training:
    return Training(objective="pca", max_validation=40, max_test=40)


@pytest.fixture(scope="module")
def texts(pca: Training) -> TrainingSet:
    rows = [PairRow(f"[{n}]", "", f"a{n % 29} b{n % 23} c{n % 19} d{n % 17}") for n in range(360)]
    return pairs_from_rows(asked_by_own_words(rows, seed=0), pca)


def _reduce(
    texts: TrainingSet, training: Training, base: Path, folder: Path, log: MemoryLog | None = None, **settings: object
) -> Trained:
    return reduce_dims(
        texts, training, base, destination=folder, log=log or MemoryLog(), base_log=MemoryLog(),
        settings=ContractSettings(**{"dims": DIMS, **settings}),  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture(scope="module")
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture(scope="module")
def found(
    texts: TrainingSet, pca: Training, base: Path, tmp_path_factory: pytest.TempPathFactory, log: MemoryLog
) -> Trained:
    return _reduce(texts, pca, base, tmp_path_factory.mktemp("reduced"), log)


def _kept(whole: Vectors, fewer: Vectors) -> float:
    """The share of each text's ten nearest by all dims that are so by fewer, by numpy."""
    near = [np.argsort(9 * np.eye(len(one)) - one @ one.T, axis=1)[:, :10] for one in (whole, fewer)]
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(*near, strict=True)]))


def test_the_folder_gives_the_main_directions_of_the_train_texts(
    found: Trained, texts: TrainingSet, base: Path, tmp_path: Path
) -> None:
    assert found.improved
    whole = load_encoder(make_checkpoint(base, tmp_path).folder, precision="full")
    train_texts = list(dict.fromkeys(pair.document for pair in texts.split("train")))
    rows = whole.encode_documents(train_texts).vectors.astype(np.float64)
    directions = np.linalg.svd(rows, full_matrices=False)[2][:DIMS]
    held_out = [pair.document for pair in texts.split("test")]
    wanted = whole.encode_documents(held_out).vectors @ directions.T
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    ours = load_encoder(found.checkpoint.folder, precision="full").encode_documents(held_out).vectors
    assert ours.shape == (len(held_out), DIMS)
    np.testing.assert_allclose(ours @ ours.T, wanted @ wanted.T, atol=1e-4)  # the sign of a direction is free
    library = SentenceTransformer(str(found.checkpoint.folder), device="cpu").encode(held_out)
    np.testing.assert_allclose(library, ours, atol=1e-5)
    require_intact(found.checkpoint)
    assert found.checkpoint.contract == found.base.contract and found.checkpoint.contract["dims"] == DIMS


def test_what_is_kept_is_told_of_both_arms(
    found: Trained, texts: TrainingSet, base: Path, tmp_path: Path, log: MemoryLog
) -> None:
    held_out = list(dict.fromkeys(pair.document for pair in texts.split("test")))
    whole, first, learned = (
        load_encoder(folder, precision="full").encode_documents(held_out).vectors
        for folder in (make_checkpoint(base, tmp_path).folder, found.base.folder, found.checkpoint.folder)
    )
    cut = whole[:, :DIMS] / np.linalg.norm(whole[:, :DIMS], axis=1, keepdims=True)
    np.testing.assert_allclose(first, cut, atol=1e-5)
    assert found.comparison.metric == "recall@10" == found.history.metric
    assert found.base_test["recall@10"] == pytest.approx(_kept(whole, first), abs=0.01)
    assert found.test["recall@10"] == pytest.approx(_kept(whole, learned), abs=0.01)
    assert found.comparison.new > found.comparison.old and found.comparison.low > 0
    # The variance is that of the texts that were learned from.
    rows = load_encoder(make_checkpoint(base, tmp_path).folder, precision="full").encode_documents(
        list(dict.fromkeys(pair.document for pair in texts.split("train")))
    ).vectors.astype(np.float64)  # fmt: skip
    variances = rows.var(axis=0)
    assert found.base_test["explained_variance"] == pytest.approx(variances[:DIMS].sum() / variances.sum(), abs=1e-5)
    turned = rows @ np.linalg.svd(rows, full_matrices=False)[2][:DIMS].T
    share = turned.var(axis=0).sum() / variances.sum()
    assert found.test["explained_variance"] == pytest.approx(share, abs=1e-5)
    assert log.series("test/explained_variance") == [(1, pytest.approx(share, abs=1e-5))]
    assert [step for step, _ in log.series("validation/recall_at_10")] == [0, 1]
    assert (log.logged_params["dims"], log.logged_params["encoder_dims"]) == (DIMS, 32)
    report = {path.name: path for path in found.report}
    assert {"reduction.png", "variance.csv", "report.json"} == set(report)
    reduction = json.loads(report["report.json"].read_text())["reduction"]
    assert reduction["nearest_kept"]["test"] == found.test["recall@10"]
    assert reduction["nearest_kept_by_first_dims"]["test"] == found.base_test["recall@10"]
    shares = list(csv.DictReader(report["variance.csv"].open()))
    assert [row["dims"] for row in shares] == ["6", "8", "16", "32"] and shares[-1]["learned"] == "1.0000"
    assert float(shares[0]["learned"]) == pytest.approx(share, abs=1e-4)


def test_it_is_one_pass_that_says_how_far_it_is(
    texts: TrainingSet, pca: Training, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vector_assets.training.reduction._TEXTS", 100)
    told: list[Progress] = []
    found = reduce_dims(
        texts, pca, base, destination=tmp_path, log=MemoryLog(), base_log=MemoryLog(),
        settings=ContractSettings(dims=DIMS), progress=told.append,
    )  # fmt: skip
    count = len({pair.document for pair in texts.split("train")})
    assert [(one.step, one.steps) for one in told] == [(n, -(-count // 100)) for n in range(1, -(-count // 100) + 1)]
    assert told[0].words == f"best recall@10 {found.base_validation['recall@10']:.3f}"
    assert not list(tmp_path.glob(".all-dims-*")), "the encoder with all its dims is not kept"


def test_a_base_that_is_cut_already_is_reduced_from_what_it_serves(
    texts: TrainingSet, pca: Training, base: Path, tmp_path: Path
) -> None:
    served = make_checkpoint(base, tmp_path / "cut", settings=ContractSettings(dims=16))
    found = _reduce(texts, pca, served.folder, tmp_path)
    held_out = [pair.document for pair in texts.split("test")]
    train_texts = list(dict.fromkeys(pair.document for pair in texts.split("train")))
    whole = load_encoder(served.folder, precision="full")
    directions = np.linalg.svd(whole.encode_documents(train_texts).vectors.astype(np.float64))[2][:DIMS]
    wanted = whole.encode_documents(held_out).vectors @ directions.T
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    ours = load_encoder(found.checkpoint.folder, precision="full").encode_documents(held_out).vectors
    np.testing.assert_allclose(ours @ ours.T, wanted @ wanted.T, atol=1e-4)


def test_what_cannot_be_reduced_is_refused(texts: TrainingSet, pca: Training, base: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"dims: found 32; train\.objective: pca makes fewer of the encoder's 32"):
        _reduce(texts, pca, base, tmp_path, dims=32)
    few = TrainingSet(
        "few", tuple(pair for pair in texts.pairs if pair.split != "train") + texts.split("train")[:4], {}
    )
    with pytest.raises(SpecError, match=r"dims: found 6; train\.objective: pca has 4 texts to learn from"):
        _reduce(few, pca, base, tmp_path)


def test_a_reduced_encoder_learns_on_and_its_map_stays(
    keywords: TrainingSet, training: Training, found: Trained, tmp_path: Path
) -> None:
    """The upper layers, or all: what was scored is what is stored."""
    from safetensors.numpy import load_file

    for trainable in ("last_1", "all"):
        tuned = train(
            keywords, training.model_copy(update={"trainable": trainable, "max_epochs": 2}), found.checkpoint.folder,
            destination=tmp_path, log=MemoryLog(), base_log=MemoryLog(),
        )  # fmt: skip
        assert tuned.improved and tuned.checkpoint.contract["dims"] == DIMS
        maps = [load_file(next(one.folder.glob("*_Dense/*.safetensors"))) for one in (tuned.base, tuned.checkpoint)]
        assert np.array_equal(maps[0]["linear.weight"], maps[1]["linear.weight"])
        pairs = keywords.split("test")
        encoder = load_encoder(tuned.checkpoint.folder, precision="full")
        documents = encoder.encode_documents([pair.document for pair in pairs]).vectors
        ranks = np.argsort(-(encoder.encode_queries([pair.query for pair in pairs]) @ documents.T), axis=1)
        places = [row.tolist().index(n) for n, row in enumerate(ranks)]
        assert tuned.test["mrr@10"] == pytest.approx(np.mean([1 / (1 + p) if p < 10 else 0 for p in places]), abs=0.02)


def test_denoising_refuses_a_reduced_encoder(texts: TrainingSet, found: Trained, tmp_path: Path) -> None:
    declared = Training(objective="denoising", trainable="all", max_validation=20, max_test=20, max_epochs=1)
    with pytest.raises(EncoderError, match=r"as wide as the layers' \(32\), and these are reduced to 6"):
        train(
            texts, declared, found.checkpoint.folder, destination=tmp_path, log=MemoryLog(), base_log=MemoryLog()
        )  # fmt: skip


def test_from_scratch_refuses_a_reduced_encoder(keywords: TrainingSet, found: Trained, tmp_path: Path) -> None:
    declared = Training(pairs="p.jsonl", start="scratch", trainable="all")
    with pytest.raises(EncoderError, match="has learned weights in 2_Dense besides its transformer"):
        train(
            keywords, declared, found.checkpoint.folder, destination=tmp_path, log=MemoryLog(), base_log=MemoryLog()
        )  # fmt: skip

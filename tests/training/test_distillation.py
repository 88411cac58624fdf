"""A student learns its teacher's vectors: cut out of it or another model, of any width."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from runlog import MemoryLog
from tiny import make_tiny_bert

from vector_assets.encoder import checkpoint_digest, load_encoder, make_checkpoint
from vector_assets.errors import CanaryMismatch, ContractMismatch, EncoderError
from vector_assets.records import Checkpoint, TrainingSet
from vector_assets.spec import Training
from vector_assets.training import teacher as teaching
from vector_assets.training import train
from vector_assets.training.pair_rows import PairRow
from vector_assets.training.pairs import pairs_from_rows
from vector_assets.training.student import cut_layers
from vector_assets.training.teacher import Teacher, fitted, speed_ratio
from vector_assets.training.unlabelled import asked_by_own_words


@pytest.fixture(scope="module")
def distillation() -> Training:
    return Training(
        objective="distillation", teacher="minilm", layers=1, trainable="all", learning_rate=3e-3, batch_size=32,
        max_epochs=8, patience=8, evaluations_per_epoch=1, max_validation=60, max_test=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def taught(distillation: Training) -> TrainingSet:
    rows = [PairRow(f"[{n}]", "", f"a{n % 29} b{n % 23} c{n % 19} d{n % 17}") for n in range(360)]
    return pairs_from_rows(asked_by_own_words(rows, seed=0), distillation)


@pytest.fixture(scope="module")
def teacher(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return make_checkpoint(base, tmp_path_factory.mktemp("teacher"))


def test_a_student_of_fewer_layers_comes_near_to_its_teacher(
    taught: TrainingSet, distillation: Training, teacher: Checkpoint, base: Path, tmp_path: Path
) -> None:
    log = MemoryLog()
    found = train(
        taught, distillation, base, destination=tmp_path, log=log, base_log=MemoryLog(), teacher=teacher
    )  # fmt: skip
    assert found.comparison.metric == "recall@10" == found.history.metric and found.comparison.low > 0
    assert found.test["teacher_cosine"] > found.base_test["teacher_cosine"] + 0.1
    assert found.speed_ratio and log.series("speed_ratio") and log.series("test/teacher_cosine")
    # Both numbers are those of the stored checkpoint.
    texts = [pair.document for pair in taught.split("test")]
    student, other = (load_encoder(one.folder).encode_documents(texts).vectors for one in (found.checkpoint, teacher))
    assert float(np.sum(student * other, axis=1).mean()) == pytest.approx(found.test["teacher_cosine"], abs=1e-4)
    near = [np.argsort(-(vectors @ vectors.T - 9 * np.eye(len(texts))), axis=1)[:, :10] for vectors in (student, other)]
    shares = [len(set(a) & set(b)) / 10 for a, b in zip(*near, strict=True)]
    assert float(np.mean(shares)) == pytest.approx(found.test["recall@10"], abs=0.01)


def test_a_teachers_vectors_are_computed_once(
    teacher: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["a1 b2", "c3", "d4 e5"]
    first = Teacher(teacher, texts, 32, tmp_path, learned=2)
    encode = load_encoder(teacher.folder).encode_documents(texts).vectors
    assert np.allclose(first.vectors(["c3", "a1 b2"]), encode[[1, 0]], atol=1e-5)

    class Digest:
        digest, dims = load_encoder(teacher.folder).digest, 32

    monkeypatch.setattr(teaching, "checked_encoder", lambda checkpoint: Digest)
    assert np.array_equal(Teacher(teacher, texts, 32, tmp_path, learned=2).vectors(texts), first.vectors(texts))
    with pytest.raises(AttributeError, match="encode_documents"):
        Teacher(teacher, [*texts, "new"], 32, tmp_path, learned=2)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AttributeError, match="encode_documents"):
        Teacher(teacher, texts, 32, tmp_path, learned=2)


def test_a_teacher_that_is_not_what_was_stored_is_refused_before_it_teaches(
    taught: TrainingSet, distillation: Training, base: Path, tmp_path: Path
) -> None:
    kept = make_checkpoint(base, tmp_path / "kept")

    def refused(teacher: Checkpoint, error: type[EncoderError], said: str) -> None:
        for action in (
            lambda: Teacher(teacher, ["a1"], 32, tmp_path / "cache", learned=1),
            lambda: speed_ratio(teacher, kept, ["a1"]),
            lambda: train(
                taught, distillation, base, destination=tmp_path / "trained", log=MemoryLog(), base_log=MemoryLog(),
                teacher=teacher,
            ),
        ):  # fmt: skip
            with pytest.raises(error, match=said):
                action()

    moved = tuple(replace(one, vector=(*one.vector[1:], one.vector[0])) for one in kept.canaries)
    refused(
        replace(kept, canaries=moved), CanaryMismatch,
        f"the loaded encoder {kept.digest[:12]} does not give the vectors stored with checkpoint {kept.digest[:12]}",
    )  # fmt: skip
    weights = kept.folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-4] ^= 1
    weights.write_bytes(content)
    now = checkpoint_digest(kept.folder)
    refused(
        kept, ContractMismatch,
        f"checkpoint {kept.digest[:12]} has other files than were stored: model.safetensors: expected sha256 .*"
        f"has digest {now[:12]}, expected {kept.digest[:12]}",
    )  # fmt: skip
    assert not (tmp_path / "cache").exists()


def test_a_text_asks_for_its_nearest_by_the_teacher(teacher: Checkpoint, tmp_path: Path) -> None:
    texts = [f"a{n} b{n % 3}" for n in range(14)]
    found = Teacher(teacher, texts, 8, tmp_path, learned=14)
    vectors = load_encoder(teacher.folder).encode_documents(texts).vectors  # of all its dims, not of the student's
    pool = found.pool(texts)
    for row, query in enumerate(pool.queries):
        scores = vectors @ vectors[row]
        scores[row] = -9
        assert {int(key) for key in query.relevant} == set(np.argsort(-scores)[:10].tolist()) and pool.own[row] == row
    assert np.allclose(np.linalg.norm(found.vectors(texts), axis=1), 1, atol=1e-5)


def test_other_widths_keep_the_cosines_as_well_as_can_be() -> None:
    generator = np.random.default_rng(0)
    flat = generator.standard_normal((40, 3)) @ generator.standard_normal((3, 12))
    vectors = (flat / np.linalg.norm(flat, axis=1, keepdims=True)).astype(np.float32)
    wider, narrower = fitted(vectors, 20, learned=40), fitted(vectors, 3, learned=30)
    assert wider.shape == (40, 20) and narrower.shape == (40, 3)
    for other in (wider, narrower):  # vectors of rank 3 lose nothing
        assert np.allclose(other @ other.T, vectors @ vectors.T, atol=1e-5)
    assert np.array_equal(fitted(vectors, 12, learned=40), vectors)


def test_layers_are_taken_evenly_and_stay_bit_equal(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    source = make_tiny_bert(tmp_path / "six", layers=6)
    student = cut_layers(source, 3, tmp_path / "three")
    whole, cut = (load_file(one / "model.safetensors") for one in (source, student))
    for place, layer in enumerate((1, 3, 5)):
        names = [name for name in whole if f".layer.{layer}." in name]
        assert names and all(cut[name.replace(f".{layer}.", f".{place}.", 1)].equal(whole[name]) for name in names)
    others = [name for name in whole if ".layer." not in name]
    assert all(cut[name].equal(whole[name]) for name in others)
    assert {name.split(".")[2] for name in cut if ".layer." in name} == {"0", "1", "2"}
    assert make_checkpoint(student, tmp_path / "stored").contract["dims"] == 32
    with pytest.raises(EncoderError, match=r"train.layers 6; expected fewer than the 6"):
        cut_layers(source, 6, tmp_path / "no")
    config = (source / "config.json").read_text()
    (source / "config.json").write_text(config.replace('"num_hidden_layers": 6', '"num_hidden_layers": 7'))
    with pytest.raises(EncoderError, match="6 layers found, 7 stated"):
        cut_layers(source, 3, tmp_path / "no")


def test_frozen_layers_of_a_student_stay_and_a_small_encoder_may_be_one(
    taught: TrainingSet, distillation: Training, teacher: Checkpoint, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    small = make_tiny_bert(tmp_path / "small", layers=2, seed=5)
    declared = distillation.model_copy(update={"layers": None, "trainable": "last_1", "max_epochs": 2})
    found = train(taught, declared, small, destination=tmp_path, log=MemoryLog(), base_log=MemoryLog(), teacher=teacher)
    assert found.improved
    before, after = (load_file(one.folder / "model.safetensors") for one in (found.base, found.checkpoint))
    moved = {name for name in before if not before[name].equal(after[name])}
    assert {name.split(".")[2] for name in moved} == {"1"} and all(".layer." in name for name in moved)

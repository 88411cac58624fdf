"""Training from scratch: fresh weights of the same architecture, compared with the space's encoder as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from runlog import MemoryLog
from safetensors.torch import load_file

from vector_assets.encoder import load_encoder, make_checkpoint
from vector_assets.encoder.contract import ContractSettings, read_json
from vector_assets.errors import EncoderError
from vector_assets.records import Pair, TrainingSet
from vector_assets.spec import Training
from vector_assets.training import Progress, pairs_digest, resume_of, store_base, train, training_key
from vector_assets.training import resume as resuming
from vector_assets.training.scratch import fresh_model


@pytest.fixture
def from_scratch(training: Training) -> Training:
    return training.model_copy(update={"start": "scratch", "trainable": "all", "max_epochs": 6, "patience": 3})


def test_weights_are_fresh_and_all_else_stays(base: Path, tmp_path: Path) -> None:
    import torch

    torch.manual_seed(3)
    before = torch.get_rng_state()
    found = fresh_model(base, tmp_path / "model", seed=1)
    assert torch.equal(before, torch.get_rng_state()), "the caller's random numbers were used up"
    old, new = load_file(base / "model.safetensors"), load_file(found / "model.safetensors")
    assert set(old) == set(new) and all(old[name].shape == new[name].shape for name in old)
    matrices = [name for name in old if old[name].ndim == 2]
    assert matrices and not any(torch.equal(old[name], new[name]) for name in matrices)
    # The initialiser of the config, which says 0.3 here, and not torch's own.
    assert new["encoder.layer.0.attention.self.query.weight"].std().item() == pytest.approx(0.3, rel=0.1)
    for name in ("tokenizer.json", "modules.json", "1_Pooling/config.json"):
        assert (found / name).read_bytes() == (base / name).read_bytes()


def test_a_seed_gives_the_same_weights_and_another_seed_others(base: Path, tmp_path: Path) -> None:
    digests = [
        make_checkpoint(fresh_model(base, tmp_path / str(place), seed=seed), tmp_path / "root").digest
        for place, seed in enumerate((1, 1, 2))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_it_can_have_fewer_layers_but_not_more(base: Path, tmp_path: Path) -> None:
    one = fresh_model(base, tmp_path / "one", layers=1)
    assert read_json(one / "config.json")["num_hidden_layers"] == 1
    assert not [name for name in load_file(one / "model.safetensors") if "layer.1." in name]
    assert load_encoder(make_checkpoint(one, tmp_path / "root").folder).encode_documents(["a1 b1"]).vectors.shape == (
        1, 32,
    )  # fmt: skip
    with pytest.raises(EncoderError, match=r"train\.layers 4; expected at most the 3 that it has"):
        fresh_model(base, tmp_path / "four", layers=4)


def test_learned_weights_beside_the_transformer_are_refused(base: Path, tmp_path: Path) -> None:
    mixed = make_checkpoint(base, tmp_path / "root", settings=ContractSettings(layer="mix"))
    with pytest.raises(EncoderError, match="learned weights in 1_Mix"):
        fresh_model(mixed.folder, tmp_path / "fresh")


def test_what_was_learned_is_compared_with_the_declared_encoder(
    keywords: TrainingSet, from_scratch: Training, base: Path, tmp_path: Path
) -> None:
    base_log = MemoryLog()
    found = train(
        keywords, from_scratch.model_copy(update={"layers": 2}), base, destination=tmp_path, log=MemoryLog(),
        base_log=base_log,
    )  # fmt: skip
    fresh = store_base(keywords, from_scratch.model_copy(update={"layers": 2}), base, tmp_path)
    assert fresh.digest not in (found.base.digest, found.checkpoint.digest)
    weights = load_file(found.base.folder / "model.safetensors")
    assert all((weights[name] == one).all() for name, one in load_file(base / "model.safetensors").items())
    assert (
        len(
            {
                name.split(".")[2]
                for name in load_file(found.checkpoint.folder / "model.safetensors")
                if "layer." in name
            }
        )
        == 2
    )
    # Both ends of the comparison are of the stored checkpoints: the declared encoder and what was learned.
    plain = train(
        keywords, Training(pairs="p.jsonl", max_epochs=1, learning_rate=1e-9, batch_size=24), base,
        destination=tmp_path, log=MemoryLog(), base_log=MemoryLog(),
    )  # fmt: skip
    assert dict(found.base_test) == pytest.approx(dict(plain.base_test))
    assert dict(found.base_validation) == pytest.approx(dict(plain.base_validation))
    assert found.comparison.old == pytest.approx(found.base_test["mrr@10"])
    assert found.history.best_step and found.test["mrr@10"] > 0.5
    assert base_log.logged_tags["checkpoint"] == found.base.digest == plain.base.digest
    assert base_log.logged_params["base_checkpoint"] == found.base.digest


@pytest.mark.parametrize("objective", ["dropout_pairs", "denoising"])
def test_it_learns_from_texts_alone_or_reads_them_first(
    objective: str, keywords: TrainingSet, from_scratch: Training, base: Path, tmp_path: Path
) -> None:
    few = {"max_epochs": 1, "patience": 2}
    first = Training.model_validate(
        {**from_scratch.model_dump(), **few, "pretrain": {"objective": objective, "batch_size": 32}}
    )  # fmt: skip
    found = train(keywords, first, base, destination=tmp_path, log=MemoryLog(), base_log=MemoryLog())
    stages = [step.stage for step in found.history.steps]
    assert stages[0] == "pretrain" and stages[-1] == "train"
    alone = Training.model_validate(
        {**from_scratch.model_dump(exclude={"pairs"}), **few, "objective": objective}
    )  # fmt: skip
    done = train(keywords, alone, base, destination=tmp_path, log=MemoryLog(), base_log=MemoryLog())
    assert done.history.steps and done.base.digest == found.base.digest


def test_its_classification_is_compared_with_the_probe_on_the_declared_encoder(base: Path, tmp_path: Path) -> None:
    texts = [
        Pair("", f"a{key} c{copy} d{(copy * 7 + key) % 30}", f"{split}{key}{copy}", split, f"[{key}]", f"kind {key}")
        for split, copies in (("train", range(12)), ("validation", range(12, 15)), ("test", range(15, 19)))
        for key in range(6)
        for copy in copies
    ]  # fmt: skip
    labelled = TrainingSet(pairs_digest(texts), tuple(texts), {})
    settings = {"objective": "classification", "labels": "kind", "batch_size": 16, "learning_rate": 3e-3}
    scratch = Training.model_validate({**settings, "start": "scratch", "trainable": "all", "max_epochs": 2})
    found = train(labelled, scratch, base, destination=tmp_path, log=MemoryLog(), base_log=MemoryLog())
    plain = Training.model_validate({**settings, "trainable": "head", "max_epochs": 1, "learning_rate": 1e-9})
    probe = train(labelled, plain, base, destination=tmp_path, log=MemoryLog(), base_log=MemoryLog())
    assert found.classified and found.classified.old == pytest.approx(probe.base_test["accuracy"])


def test_a_killed_run_from_scratch_ends_as_an_undisturbed_one(
    keywords: TrainingSet, from_scratch: Training, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming.Resume, "is_due", property(lambda self: True))
    short = from_scratch.model_copy(update={"max_epochs": 2})

    def stop(now: Progress) -> None:
        if now.step == 25:
            raise KeyboardInterrupt

    def run(place: str, progress: object = None) -> object:
        return train(
            keywords, short, base, destination=tmp_path / place, log=MemoryLog(), base_log=MemoryLog(),
            resume_folder=tmp_path / place / "unfinished", progress=progress,  # type: ignore[arg-type]
        )  # fmt: skip

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("torn", stop)
    again = run("torn")
    assert again.history.resumed_at == 25  # type: ignore[attr-defined]
    assert again.checkpoint.digest == whole.checkpoint.digest and again.key == whole.key  # type: ignore[attr-defined]
    assert resume_of(tmp_path / "torn" / "unfinished", again.key).load() is not None  # type: ignore[attr-defined]


def test_known_trainings_keep_their_keys_and_a_curve_is_no_part_of_one(training: Training) -> None:
    curved = Training.model_validate({**training.model_dump(), "curve": {"rows": [4, 8]}})
    fresh = training.model_copy(update={"trainable": "all"})
    assert training_key("set", training, "base") == training_key("set", curved, "base") == KEY
    scratch = fresh.model_copy(update={"start": "scratch"})
    assert training_key("set", scratch, "base") != training_key("set", fresh, "base")


#: Of the settings of the fixture, computed before there was a start.
KEY = "fbdc1b6f83cb1066fd6f48be38bc893220fdc28aa7fcbc426f70a6b16c3bad0f"

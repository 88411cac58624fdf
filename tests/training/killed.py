"""Trains in real processes that are killed with SIGKILL at random moments until one ends; prints how it went.

    python killed.py FOLDER KILLS SEED OBJECTIVE TRAINABLE [OBJECTIVE TRAINABLE]…

An objective may be written after another that comes first, as in denoising:contrastive; what is trainable before the
space's layer, as in last_2@mix. A distillation has another network of the same kind for its teacher.

One process that has imported everything forks each of them: what is killed is real, what is waited for is not.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "encoder"))

import matplotlib.figure  # noqa: F401 - what training imports where it is needed, each fork would import again
import peft  # noqa: F401
import sentence_transformers.sentence_transformer.losses  # noqa: F401
import sklearn.linear_model
import sklearn.metrics  # noqa: F401
import torch
from runlog import MemoryLog
from tiny import make_tiny_bert

from vector_assets.encoder import ContractSettings, make_checkpoint
from vector_assets.records import Pair, SplitName, TrainingSet
from vector_assets.spec import LABELLED, Training
from vector_assets.training import pairs_digest, resume, resume_of, train

torch.set_num_threads(1)  # threads of the parent are not there in a fork


def training_set(labelled: bool) -> TrainingSet:
    """Keywords of two letters, as pairs or as labels; texts of different lengths."""
    splits: tuple[SplitName, ...] = ("train", "validation", "test")
    pairs = []
    for number, split in enumerate(splits):
        for key in range(12):
            for copy in range(14 if split == "train" else 2):
                fill = " ".join(f"c{(key * 7 + copy * 5 + word + number * 11) % 30}" for word in range(1 + copy % 5))
                query, document = f"{fill} a{key}", f"{fill if labelled else ''} b{key} d{key} e{copy}"
                one = ("", f"kind {key}") if labelled else (query, "")
                pairs.append(Pair(one[0], document.strip(), f"{split}{key}", split, f"[{len(pairs)}]", one[1]))
    return TrainingSet(pairs_digest(pairs), tuple(pairs), {})


def run(folder: Path, base: Path, objective: str, trainable: str, *, resumes: bool) -> None:
    """Train once to the end, writing what came of it."""
    first, _, objective = objective.rpartition(":")
    trainable, _, layer = trainable.partition("@")
    labelled = objective in LABELLED
    taught = objective == "distillation"
    source = {} if taught else {"labels" if labelled else "pairs": "given"}
    training = Training.model_validate(
        {
            "objective": objective, **source, "trainable": trainable, **({"teacher": "given"} if taught else {}),
            "learning_rate": 3e-3, "batch_size": 16, "evaluations_per_epoch": 2, "patience": 4, "max_epochs": 3,
            **({"dropout": 0.1} if objective == "classification" else {}),
            **({"pretrain": {"objective": first, "batch_size": 16, "epochs": 3}} if first else {}),
        }
    )  # fmt: skip
    chance = random.Random()  # so that most kills fall between two writes
    resume.Resume.is_due = property(lambda self: chance.random() < 0.4)  # type: ignore[assignment,method-assign]
    log = MemoryLog()
    found = train(
        training_set(labelled), training, base, destination=folder, log=log, base_log=MemoryLog(),
        resume_folder=folder / "unfinished" if resumes else None,
        settings=ContractSettings(layer="mix") if layer else None,
        teacher=make_checkpoint(base.parent / "teacher", folder) if taught else None,
    )  # fmt: skip
    result: dict[str, Any] = {
        "checkpoint": found.checkpoint.digest, "improved": found.improved, "resumed_at": found.history.resumed_at,
        "steps": [step.loss for step in found.history.steps], "gap": found.history.gap,
        "seen": [one.metrics for one in found.history.evaluations], "best": found.history.best_step,
        "head": found.head.read_bytes().hex() if found.head else "", "test": dict(found.test),
        "logged": log.series("train/loss"),
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(result))
    if resumes:
        resume_of(folder / "unfinished", found.key).clear()


def forked(*arguments: Any, **more: Any) -> int:
    """Start a process that runs and ends."""
    pid = os.fork()
    if pid == 0:
        try:
            run(*arguments, **more)
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    return pid


def seen_change(folder: Path, *, times: int) -> None:
    """Wait until a state was written so many times: from then on there is something to go on from, or to spoil."""
    seen: set[tuple[int, int]] = set()
    end = time.monotonic() + 60
    while len(seen) <= times and time.monotonic() < end:
        for path in folder.glob("*.pt"):
            with contextlib.suppress(OSError):
                found = path.stat()
                seen.add((found.st_ino, found.st_mtime_ns))
        time.sleep(0.001)


def main(folder: Path, objective: str, trainable: str, kills: int, seed: int) -> None:
    """Run undisturbed, then killed."""
    folder.mkdir()
    base = make_tiny_bert(folder / "base")
    make_tiny_bert(folder / "teacher", seed=1)
    undisturbed, disturbed = folder / "undisturbed", folder / "disturbed"
    for one in (undisturbed, disturbed):
        one.mkdir()
    _, status = os.waitpid(forked(undisturbed, base, objective, trainable, resumes=False), 0)
    assert status == 0
    wait = random.Random(seed)
    killed = 0
    while not (disturbed / "result.json").is_file():
        pid = forked(disturbed, base, objective, trainable, resumes=True)
        if killed < kills:
            seen_change(disturbed / "unfinished", times=wait.randint(1, 4))
            time.sleep(wait.uniform(0, 0.05))
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        killed += os.WIFSIGNALED(status)
        assert os.WIFSIGNALED(status) or status == 0
    left = [path.name for path in (disturbed / "unfinished").iterdir()]
    both = [json.loads((one / "result.json").read_text()) for one in (undisturbed, disturbed)]
    found = {"killed": killed, "left": left, "undisturbed": both[0], "disturbed": both[1]}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    for name, what in zip(sys.argv[4::2], sys.argv[5::2], strict=True):
        main(Path(sys.argv[1]) / name, name, what, int(sys.argv[2]), int(sys.argv[3]))

"""Searches in real processes that are killed with SIGKILL at random moments until one ends; prints how it went.

python killed_search.py FOLDER KILLS SEED
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import matplotlib.figure  # noqa: F401 - what is imported here is not imported by each process again
import optuna.importance
import optuna.storages  # noqa: F401
import sentence_transformers  # noqa: F401
import sklearn.ensemble  # noqa: F401
from killed import training_set
from runlog import MemoryLog
from tiny import make_tiny_bert

from vector_assets.spec import Search, Training
from vector_assets.training import resume
from vector_assets.training.search import clear, search, search_folder


def run(folder: Path, base: Path) -> None:
    """Search to the end, writing what came of it; ``begun`` gets a line for every trial that begins."""
    training = Training(
        pairs="given", trainable="last_1", learning_rate=1e-3, batch_size=16, evaluations_per_epoch=2, patience=4,
        max_epochs=2, search=Search(trials=4, learning_rate=[1e-4, 1e-2], batch_size=[8, 16]),
    )  # fmt: skip
    chance = random.Random()
    resume.Resume.is_due = property(lambda self: chance.random() < 0.3)  # type: ignore[assignment,method-assign]

    @contextmanager
    def opened(number: int, name: str) -> Iterator[MemoryLog]:
        with (folder / "begun").open("a") as file:
            file.write(f"{number}\n")
        yield MemoryLog()

    found = search(
        training_set(False), training, base, destination=folder / "checkpoints", unfinished=folder / "unfinished",
        log=MemoryLog(), base_log=MemoryLog(), open_trial=opened,
    )  # fmt: skip
    assert found.searched
    result = {
        "checkpoint": found.checkpoint.digest, "improved": found.improved, "test": dict(found.test),
        "trials": [[dict(one.settings), one.state, one.value] for one in found.searched.trials],
        "steps": [step.loss for step in found.history.steps], "best": found.searched.best,
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(result))
    clear(search_folder(folder / "unfinished", found.key))


def forked(folder: Path, base: Path) -> int:
    """Start a process that runs and ends."""
    pid = os.fork()
    if pid == 0:
        try:
            run(folder, base)
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    return pid


def main(folder: Path, kills: int, seed: int) -> None:
    """Run undisturbed, then killed."""
    base = make_tiny_bert(folder / "base")
    undisturbed, disturbed = folder / "undisturbed", folder / "disturbed"
    for one in (undisturbed, disturbed):
        one.mkdir()
    started = time.monotonic()
    _, status = os.waitpid(forked(undisturbed, base), 0)
    assert status == 0
    whole = time.monotonic() - started
    chance, killed = random.Random(seed), 0
    while not (disturbed / "result.json").is_file():
        pid = forked(disturbed, base)
        if killed < kills:
            time.sleep(chance.uniform(0.1, 0.6) * whole)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        killed += os.WIFSIGNALED(status)
        assert os.WIFSIGNALED(status) or status == 0
    found = {
        "killed": killed, "left": [path.name for path in (disturbed / "unfinished").iterdir()],
        "begun": [int(line) for line in (disturbed / "begun").read_text().split()],
        "both": [json.loads((one / "result.json").read_text()) for one in (undisturbed, disturbed)],
    }  # fmt: skip
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

"""A run that is killed goes on, and ends as if nothing had happened."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from vector_assets.training.resume import Resume


@pytest.mark.parametrize(
    "what",
    [
        ["contrastive", "last_2", "classification", "lora", "distillation", "all"],
        ["denoising:contrastive", "last_2", "triplet", "last_2", "arcface", "last_2", "contrastive", "last_2@mix"],
    ],
    ids=" ".join,
)
def test_killed_runs_end_bit_equal_to_an_undisturbed_one(what: list[str], tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), str(tmp_path), "2", str(seed), *what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, f"seed {seed}\n{done.stderr[-3000:]}"
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == len(what) // 2
    for found in lines:
        undisturbed, disturbed = found["undisturbed"], found["disturbed"]
        resumed_at = disturbed.pop("resumed_at")
        assert undisturbed.pop("resumed_at") is None and undisturbed["improved"]
        assert found["killed"] and resumed_at and resumed_at <= len(undisturbed["steps"])
        assert disturbed == undisturbed, f"seed {seed}, killed {found['killed']} times, resumed at {resumed_at}"
        assert found["left"] == []


def test_only_a_whole_file_of_this_key_is_gone_on_from(tmp_path: Path) -> None:
    resume = Resume(tmp_path / "deep" / "key.pt", "key", seconds=0)
    assert resume.load() is None and resume.is_due
    resume.save({"step": 3})
    found = resume.load()
    assert found is not None and found["step"] == 3
    assert Resume(tmp_path / "deep" / "key.pt", "other").load() is None
    assert not Resume(tmp_path / "deep" / "key.pt", "key", seconds=60).is_due
    path = tmp_path / "deep" / "key.pt"
    whole = path.read_bytes()
    for cut in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert resume.load() is None
    (tmp_path / "deep" / "key.pt.99").write_bytes(b"left by a killed writer")
    resume.clear()
    assert list((tmp_path / "deep").iterdir()) == []

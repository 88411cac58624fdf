"""What a run prints, and its JSON: a training that had too little data says so in both."""

from __future__ import annotations

import io

from rich.console import Console

from vector_assets.assets.launch import Launched, StageOutcome
from vector_assets.show.runs import launched_json, show_launched

WARNING = "too little data: by mrr@10, what was learned from came 0.400 further than validation"
NUMBERS = {"trained_now": True, "test_mrr@10": 0.75, "base_test_mrr@10": 0.5}


def shown(*stages: StageOutcome) -> str:
    console = Console(file=io.StringIO(), width=300)
    show_launched(console, Launched("r", True, stages, (), ""))
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


def test_a_training_with_too_little_data_says_so_also_when_it_is_known() -> None:
    assert shown(StageOutcome("encoder", 1.0, NUMBERS)).endswith("trained; MRR@10 0.500 -> 0.750 run r")
    assert f"0.500 -> 0.750; {WARNING}" in shown(StageOutcome("encoder", 1.0, NUMBERS | {"warning": WARNING}))
    known = {"trained_now": False, "checkpoint": "a" * 64, "warning": WARNING}
    assert f"aaaaaaaaaaaa is known; nothing trained; {WARNING}" in shown(StageOutcome("encoder", 1.0, known))


def test_the_json_of_a_run_carries_the_warnings_of_all_spaces() -> None:
    stages = [
        StageOutcome("encoder", 1.0, {**NUMBERS, "warning": "the first"}),
        StageOutcome("encoder", 1.0, {**NUMBERS, "warning": "the second"}),
        StageOutcome("encoder", 1.0, NUMBERS),
        StageOutcome("map", 1.0, {"points": 3}),
    ]
    found = launched_json(Launched("r", True, tuple(stages), (), ""))["stages"]
    assert found == {
        "encoder": {"seconds": 1.0, "warning": "the first\nthe second"}, "map": {"points": 3, "seconds": 1.0}
    }  # fmt: skip

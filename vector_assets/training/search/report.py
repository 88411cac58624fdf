"""What a search looked like: a table of its trials, their history and what mattered as a picture."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from vector_assets.training.searched import Searched

_COLOURS = {"complete": "tab:blue", "pruned": "tab:orange"}


def write_search(folder: Path, found: Searched, importances: Mapping[str, float]) -> tuple[Path, ...]:
    """Write search.png and trials.csv; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return draw_search(found, importances, folder / "search.png"), write_trials(found, folder / "trials.csv")


def write_trials(found: Searched, path: Path) -> Path:
    """Write one line a trial: number, state, each setting, what it reached on validation, seconds, error."""
    names = list(dict.fromkeys(name for one in found.trials for name in one.settings))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "state", *names, f"validation {found.metric}", "seconds", "error"])
        for one in found.trials:
            value = "" if one.value is None else f"{one.value:.6f}"
            settings = [one.settings.get(name, "") for name in names]
            writer.writerow([one.number, one.state, *settings, value, f"{one.seconds:.1f}", one.error])
    return path


def draw_search(found: Searched, importances: Mapping[str, float], path: Path) -> Path:
    """Draw what each trial reached, the best so far, the base as a line; and how much each setting mattered."""
    from matplotlib.figure import Figure  # without pyplot: no global state, no display

    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=120)
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    left.axhline(found.base_validation, color="tab:gray", ls="--", lw=1, label=f"base {found.base_validation:.3f}")
    for state, colour in _COLOURS.items():
        points = [(one.number, one.value) for one in found.trials if one.state == state and one.value is not None]
        if points:
            left.scatter(*zip(*points, strict=True), color=colour, s=18, label=state)
    failed = [one.number for one in found.trials if one.state == "failed"]
    for place, number in enumerate(failed):
        left.axvline(number, color="tab:red", ls=":", lw=1, label="failed" if place == 0 else None)
    ended = [(one.number, one.value) for one in found.trials if one.state == "complete" and one.value is not None]
    best = [max(value for _, value in ended[: place + 1]) for place in range(len(ended))]
    left.step([number for number, _ in ended], best, where="post", color="tab:green", lw=1.2, label="best so far")
    left.set(title="Validation by trial", xlabel="trial (0: as declared)", ylabel=found.metric)
    left.legend(fontsize=7)
    names = list(importances)[::-1]
    right.barh(names, [importances[name] for name in names], color="tab:blue")
    right.set(title="Importance (fANOVA)" if names else "Importance: too few trials", xlim=(0, 1))
    figure.savefig(path)
    return path

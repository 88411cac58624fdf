"""A small project on disk: animals in JSONL, a tiny model, pairs of a field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROWS = 150
INDEX = "\n  index:"


def write_rows(path: Path, *, changed: dict[int, str] | None = None, count: int = ROWS) -> None:
    """Row i has a question of word a<k>, which b<k> and d<k> answer; ten groups."""
    lines = []
    for i in range(count):
        k = i % 24
        text = (changed or {}).get(i, f"b{k} d{k} e{k} f{i % 30}")
        row = {"id": f"r{i:03}", "ask": f"c{i % 30} a{k} g{i % 7}", "text": text, "group": f"g{i % 10}", "n": i}
        lines.append(json.dumps(row))
    path.write_text("\n".join(lines) + "\n")


def write_project(root: Path, name: str, model: Path, *, train: bool = True, extra: str = "") -> Path:
    """Write defs/<name>/defs.yaml with its rows beside it; return the folder of the declaration."""
    folder = root / "defs" / name
    folder.mkdir(parents=True)
    write_rows(folder / "rows.jsonl")
    training = """
      train:
        pairs: {query: ask}
        split: {by: group, validation: [g8], test: [g9]}
        trainable: last_1
        batch_size: 16
        max_epochs: 1
        evaluations_per_epoch: 1
        learning_rate: 0.001"""
    (folder / "defs.yaml").write_text(
        f"""type: vector_assets.CollectionComponent
attributes:
  name: {name}
  owner: team:animals
  source: {{kind: file, path: rows.jsonl}}
  fields: {{ask: text, text: text, group: category, n: number}}
  spaces:
    text:
      fields: [text]
      encoder: {model}{training if train else ""}
  index: {{recall: 0.9}}
  automation: {{on_change: true, retrain: "0 3 * * 0", every: 30}}
{extra}"""
    )
    return folder


def change_rows(folder: Path, change: Callable[[int, dict[str, Any]], dict[str, Any]]) -> None:
    """Put what ``change`` makes of each row, by its number, in the row's place."""
    path = folder / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(change(number, row)) + "\n" for number, row in enumerate(rows)))


def declare_training(folder: Path, train: str) -> None:
    """Put ``train`` in place of what the declaration says of the space after its encoder."""
    path = folder / "defs.yaml"
    head, encoder, rest = path.read_text().partition("      encoder: ")
    model = rest.partition("\n")[0]
    path.write_text(f"{head}{encoder}{model}{train.rstrip()}{rest[rest.index(INDEX) :]}")

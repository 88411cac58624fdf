"""A small real project, materialized once, behind a running `up`; and a browser that holds its token."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny import WORDS, make_tiny_bert
from up_process import Up, clean_environment, free_port, marked

from vector_assets.runtime.postgres import remove_postgres

CHROMIUM = Path("/usr/bin/chromium")
DECLARATION = """
type: vector_assets.CollectionComponent
attributes:
  name: notes
  description: Notes of three teams, each with a summary.
  source: {kind: file, path: notes.jsonl, id: id}
  fields: {team: category, text: text, summary: text}
  spaces:
    text:
      kind: text
      fields: [text]
      encoder: ./tiny
      train:
        objective: contrastive
        pairs: {query: summary}
        split: {by: team, validation: [red], test: [blue]}
        trainable: all
        learning_rate: 0.002
        batch_size: 16
        patience: 3
        max_epochs: 8
  index: {type: hnsw, metric: cosine, recall: 0.9}
  evaluation: {bm25_rows: 0}            # words would beat so small a model, and keep it out
"""


def write_project(folder: Path) -> Path:
    """180 notes of three teams; a summary is some words of its text."""
    notes = folder / "defs" / "notes"
    notes.mkdir(parents=True)
    drawn = random.Random(0)
    rows = []
    for number in range(180):
        words = drawn.sample(WORDS, 10)
        team = ("green", "red", "blue")[number // 4 % 3]
        rows.append({"id": number, "team": team, "text": " ".join(words), "summary": " ".join(drawn.sample(words, 4))})
    (notes / "notes.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (notes / "defs.yaml").write_text(DECLARATION)
    make_tiny_bert(notes / "tiny")
    return folder


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The collection `notes`, trained, embedded, indexed and mapped, and both pages."""
    folder = tmp_path_factory.mktemp("browser")
    project, home, ports = write_project(folder / "project"), folder / "home", (free_port(), free_port())
    pages = {"DAGSTER": ports[0], "MLFLOW": ports[1]}
    shown = {f"VECTOR_ASSETS_{name}_UI": f"http://127.0.0.1:{port}" for name, port in pages.items()}
    env = {**clean_environment(home), **shown}
    command = [sys.executable, "-m", "vector_assets.cli", "materialize", "notes", "--project", str(project), "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    started = Up(home, project=project, ports=ports)
    yield started
    started.interrupt()
    for process in marked(home):
        process.kill()
    remove_postgres(home)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Debian's chromium, without a window.

    Ended with the file: while playwright runs, its event loop counts as running in this thread, and
    `asyncio.run`, which Dagster calls to evaluate conditions, would fail in every later test of the process.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--headless=new", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture(scope="session")
def shoot(tmp_path_factory: pytest.TempPathFactory) -> Callable[[object, str], None]:
    """Keeps a picture of a page under VECTOR_ASSETS_SCREENSHOTS, or in a temporary folder."""
    named = os.environ.get("VECTOR_ASSETS_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)

    def keep(page, name: str) -> None:
        page.screenshot(path=str(folder / f"{name}.png"), full_page=False)

    return keep

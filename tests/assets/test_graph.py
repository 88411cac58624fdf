"""The bundled project's graph as a readable file, and what starts its runs."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from project import write_project

from vector_assets.assets.build import build_definitions, build_project
from vector_assets.assets.graph import render_graph
from vector_assets.spec import Collection
from vector_assets.spec.load import load_collection
from vector_assets.spec.project import BUNDLED, Project

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bundled() -> dg.Definitions:
    return build_project(Project(BUNDLED))


def test_the_graph_file_is_what_is_declared(bundled: dg.Definitions) -> None:
    text = render_graph(bundled)
    file = REPOSITORY / "docs" / "graph.txt"
    command = (
        "from vector_assets.assets.build import *; from vector_assets.assets.graph import *; "
        "from vector_assets.spec.project import *; print(render_graph(build_project(Project(BUNDLED))), end='')"
    )
    assert file.read_text() == text, f'run .venv/bin/python -c "{command}" > docs/graph.txt and review the change'
    assert len(text.splitlines()) < 80


def test_the_definitions_are_loadable(bundled: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(bundled)


def test_every_asset_tells_people_what_it_is(bundled: dg.Definitions) -> None:
    graph = bundled.get_repository_def().asset_graph
    for key in graph.toposorted_asset_keys:
        node = graph.get(key)
        assert len(node.description or "") > 40, key
        assert node.code_version, key
        assert node.group_name == "python_functions"


def test_a_collection_without_training_or_automation(tmp_path: Path) -> None:
    collection = Collection.model_validate(
        {
            "name": "papers",
            "source": {"kind": "postgres", "table": "papers"},
            "fields": {"title": "text"},
            "spaces": {"a": {"fields": ["title"]}, "b": {"fields": ["title"]}},
        }
    )
    lines = render_graph(build_definitions(collection)).splitlines()
    assert "embeddings/papers <- encoder/papers/a, encoder/papers/b, raw/papers" in lines
    assert "encoder/papers/a <- source" in lines
    assert not [line for line in lines if "training_set" in line or "papers_source" in line or "retrain" in line]
    assert any(line.startswith("sensor papers_automation, stopped") for line in lines)
    assert any(line.startswith("schedule papers_maintenance_schedule at 0 4 * * *, running") for line in lines)


@pytest.fixture
def defs(tmp_path: Path) -> dg.Definitions:
    return build_definitions(load_collection(write_project(tmp_path, "papers", tmp_path / "model") / "defs.yaml"))


def test_the_retraining_schedule_draws_the_training_set_anew(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    schedule = next(each for each in repository.schedule_defs if each.name == "papers_retrain_schedule")
    assert schedule.cron_schedule == "0 3 * * 0"
    tick = schedule.evaluate_tick(
        dg.build_schedule_context(instance=dg.DagsterInstance.ephemeral(), repository_def=repository)
    )
    assert tick.run_requests
    (request,) = tick.run_requests
    job = repository.get_job("papers_retrain")
    config = request.run_config or job.run_config
    assert config == {"ops": {"training_set__papers__text": {"config": {"refresh": True}}}}
    assert {key.path[0] for key in job.asset_layer.selected_asset_keys} == {
        "raw", "training_set", "encoder", "embeddings", "candidate", "index"
    }  # fmt: skip
    assert dg.validate_run_config(job, config)


def test_the_maintenance_schedule_measures_again(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    job = repository.get_job("papers_maintenance")
    assert job.run_config == {
        "ops": {
            "embeddings__papers": {"config": {"sweep": True}},
            "candidate__papers": {"config": {"maintenance": True}},
            "index__papers": {"config": {"maintenance": True}},
        }
    }
    stages = {key.path[0] for key in job.asset_layer.selected_asset_keys}
    assert stages == {"embeddings", "candidate", "index", "map"}
    assert dg.validate_run_config(job, job.run_config)


def test_the_shipped_dagster_yaml_has_no_unknown_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECTOR_ASSETS_DAGSTER_URL", "postgresql+psycopg2://postgres@/dagster?host=/nowhere")
    monkeypatch.setenv("VECTOR_ASSETS_DAGSTER_FOLDER", str(tmp_path))
    shipped = (REPOSITORY / "dagster_home" / "dagster.yaml").read_text()
    (tmp_path / "dagster.yaml").write_text(shipped)
    config, _ = dagster_instance_config(str(tmp_path))
    assert config["telemetry"] == {"enabled": False}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({**yaml.safe_load(shipped), "unknown_key": 1}))
    with pytest.raises(dg.DagsterInvalidConfigError):
        dagster_instance_config(str(tmp_path))

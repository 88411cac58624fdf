"""What a person sees in both pages, in a real browser that came by the printed address."""

from __future__ import annotations

import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

STAGES = ("raw", "training_set", "encoder", "embeddings", "candidate", "index", "map")
CHECKS = ("coverage", "dims_and_norm", "canaries", "recall")
WAIT = 45_000


@pytest.fixture(scope="module")
def dagster(up, browser):
    """A page that has been let into Dagster."""
    context = browser.new_context(viewport={"width": 1500, "height": 950})
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(up.addresses["Dagster"])
    page.base = up.addresses["Dagster"].partition("/?")[0]
    yield page
    context.close()


@pytest.fixture(scope="module")
def mlflow(up, browser):
    """A page that has been let into MLflow."""
    context = browser.new_context(viewport={"width": 1500, "height": 950})
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.goto(up.addresses["MLflow"])
    page.base = up.addresses["MLflow"].partition("/?")[0]
    yield page
    context.close()


def test_a_stranger_sees_nothing(up, browser) -> None:
    page = browser.new_page()
    answer = page.goto(up.addresses["Dagster"].partition("?")[0])
    assert answer.status == 401 and "vector-assets up" in page.content()
    page.close()


def test_the_graph_of_the_collection(dagster, shoot) -> None:
    dagster.goto(f"{dagster.base}/asset-groups/")
    dagster.get_by_text("notes", exact=True).first.wait_for()
    dagster.goto(f"{dagster.base}/locations/__repository__@vector_assets/asset-groups/notes/lineage")
    dagster.get_by_text("Materialize all").first.wait_for()
    dagster.get_by_text("notes", exact=True).nth(len(STAGES) - 2).wait_for()
    dagster.wait_for_timeout(1500)
    shoot(dagster, "dagster-graph")
    dagster.goto(f"{dagster.base}/locations/__repository__@vector_assets/asset-groups/notes/list")
    for stage in STAGES:
        dagster.get_by_text(re.compile(rf"^{stage} ?/ ?notes")).first.wait_for()
    dagster.wait_for_timeout(1500)
    shoot(dagster, "dagster-list")
    assert "token=" not in dagster.url and not dagster.faults


def test_the_checks_of_the_candidate(dagster, shoot) -> None:
    dagster.goto(f"{dagster.base}/assets/candidate/notes?view=checks")
    for check in CHECKS:
        dagster.get_by_text(check, exact=True).first.wait_for()
    dagster.wait_for_timeout(1500)
    shoot(dagster, "dagster-checks")


@pytest.mark.parametrize("stage", ["raw", "encoder", "embeddings", "candidate", "index", "map"])
def test_what_a_stage_reports(dagster, shoot, stage: str) -> None:
    space = "/text" if stage == "encoder" else ""
    dagster.goto(f"{dagster.base}/assets/{stage}/notes{space}?view=overview")
    expected = {
        "raw": "rows_per_second",
        "encoder": "tuned_against_base",
        "embeddings": "encoded",
        "candidate": "decision",
        "index": "action",
        "map": "points",
    }[stage]
    dagster.get_by_text(expected, exact=True).first.wait_for()
    if stage == "map":
        dagster.get_by_text("[Show Markdown]").first.click()
        dagster.locator("img[src^='data:image/png']").first.wait_for()
    dagster.wait_for_timeout(1500)
    shoot(dagster, f"dagster-{stage}")


def test_the_run_of_the_command_line(up, dagster, shoot) -> None:
    runs = up.graphql(
        "{ runsOrError { ... on Runs { results { runId status repositoryOrigin { repositoryLocationName } } } } }"
    )["runsOrError"]["results"]
    assert [(run["status"], run["repositoryOrigin"]["repositoryLocationName"]) for run in runs] == [
        ("SUCCESS", "vector_assets")
    ]
    dagster.goto(f"{dagster.base}/runs/{runs[0]['runId']}")
    dagster.get_by_text("Re-execute all", exact=False).first.wait_for()
    dagster.wait_for_timeout(1500)
    shoot(dagster, "dagster-run")


def test_the_training_run_with_its_curves(up, dagster, mlflow, shoot) -> None:
    found = up.graphql(
        '{ assetNodeOrError(assetKey: {path: ["encoder", "notes", "text"]}) { ... on AssetNode { '
        "assetMaterializations(limit: 1) { metadataEntries { label ... on UrlMetadataEntry { url } } } } } }"
    )["assetNodeOrError"]["assetMaterializations"][0]["metadataEntries"]
    link = next(entry["url"] for entry in found if entry["label"] == "mlflow_run")
    assert link.startswith(mlflow.base), "the link in Dagster leads to another MLflow"
    mlflow.goto(link)
    mlflow.get_by_text("Finished", exact=True).first.wait_for()
    mlflow.get_by_text("notes/text train", exact=False).first.wait_for()
    mlflow.wait_for_timeout(1500)
    shoot(mlflow, "mlflow-run")
    back = mlflow.get_by_role("link", name=re.compile("Dagster run")).get_attribute("href")
    assert back.startswith(f"{dagster.base}/runs/"), "the link in MLflow leads to another Dagster"
    dagster.goto(back)
    dagster.get_by_text("Re-execute all", exact=False).first.wait_for()
    mlflow.goto(link.replace("?", "/model-metrics?"))
    mlflow.get_by_placeholder("Search metric charts").fill("^validation/|train/loss")
    for curve in ("loss", "mrr_at_10"):
        mlflow.get_by_text(curve, exact=True).first.wait_for()
    mlflow.wait_for_timeout(3000)
    shoot(mlflow, "mlflow-curves")


def test_the_registered_model_has_its_champion(mlflow, shoot) -> None:
    mlflow.goto(f"{mlflow.base}/#/models/notes.text")
    for alias in ("champion", "candidate", "base"):
        mlflow.get_by_text(alias, exact=False).first.wait_for()
    shoot(mlflow, "mlflow-model")

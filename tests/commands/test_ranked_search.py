"""The command search with what ranks beside nearness: rows that are liked, svm, a cross-encoder, context."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Project, refused
from tiny_cross import make_tiny_cross

from vector_assets import connect
from vector_assets.errors import EncoderError, SpecError, UserError
from vector_assets.search.declared import declared_ask
from vector_assets.spec import Searching
from vector_assets.spec.load import load_text
from vector_assets.stores.workspace import Workspace

DECLARATION = """type: vector_assets.CollectionComponent
attributes:
  name: {name}
  source: {{kind: file, path: rows.jsonl}}
  fields: {{text: text}}
  spaces:
    text: {{fields: [text], encoder: {model}, chunk: {{by: paragraph}}}}
  index: {{recall: 0.5}}
  search: {{rerank: {{model: ./judge, top: 30}}}}
"""
STAGES = [word for stage in ("raw", "encoder", "embeddings", "candidate", "index") for word in ("--stage", stage)]
NAME = "ranked_search"


def text_of(row: int) -> str:
    """Two paragraphs, each with row mod 5 times the word that the judge looks for."""
    wanted = ["h29"] * (row % 5)
    return "\n\n".join(" ".join([*wanted, *[f"{letter}{row}"] * (8 - len(wanted))]) for letter in "ab")


@pytest.fixture(scope="module")
def root(
    workspace: Workspace, session_home: Path, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path
) -> Iterator[Path]:
    """Twenty rows of two paragraphs, materialized once."""
    from vector_assets.assets.resources import _workspace

    root = tmp_path_factory.mktemp("ranked")
    folder = root / "defs" / NAME
    folder.mkdir(parents=True)
    rows = "".join(json.dumps({"id": f"r{row}", "text": text_of(row)}) + "\n" for row in range(20))
    (folder / "rows.jsonl").write_text(rows)
    (folder / "defs.yaml").write_text(DECLARATION.format(name=NAME, model=tiny_model))
    make_tiny_cross(folder / "judge")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VECTOR_ASSETS_HOME", str(session_home))
        patch.setenv("VECTOR_ASSETS_PROJECT", str(root))
        for name in ("MLFLOW_TRACKING_URI", "DAGSTER_HOME"):
            patch.delenv(name, raising=False)
        _workspace.cache_clear()
        stages = tuple(stage for stage in STAGES if stage != "--stage")
        assert connect(root).collection(NAME).materialize(stages=stages).success
    _workspace.cache_clear()
    yield root


@pytest.fixture
def project(root: Path, session_home: Path, capsys: pytest.CaptureFixture[str]) -> Project:
    return Project(root, NAME, session_home, capsys)


def asked(project: Project, *arguments: str) -> dict[str, object]:
    done = project.command("search", NAME, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_the_declared_model_orders_the_best_rows_and_is_named(project: Project) -> None:
    found = asked(project, "a3", "-k", "12")
    counts = [int(hit["id"][1:]) % 5 for hit in found["hits"]]  # type: ignore[attr-defined]
    assert counts == [4] * 4 + [3] * 4 + [2] * 4
    assert len(str(found["reranked_by"])) == 64
    first = found["hits"][0]  # type: ignore[index]
    assert first["parts"]["rerank"] == first["score"] and -1 <= first["parts"]["found"] <= 1
    plain = asked(project, "a3", "-k", "12", "--no-rerank")
    assert "reranked_by" not in plain and all("parts" not in hit for hit in plain["hits"])  # type: ignore[attr-defined]
    assert [hit["id"] for hit in plain["hits"]] != [hit["id"] for hit in found["hits"]]  # type: ignore[attr-defined]


def test_rows_are_named_by_their_ids(project: Project) -> None:
    found = asked(project, "--like", "r3", "--like", "r8", "--unlike", "r5", "-k", "20")
    ids = [hit["id"] for hit in found["hits"]]  # type: ignore[attr-defined]
    assert len(ids) == 17 and not {"r3", "r8", "r5"} & set(ids)
    machine = asked(project, "a3", "--like", "r3", "--method", "svm", "--no-rerank", "-k", "4")
    assert machine["method"] == "svm" and all("vector_score" in hit["parts"] for hit in machine["hits"])  # type: ignore[attr-defined]
    mixed = asked(project, "a3", "--diverse", "0.7", "--no-rerank", "-k", "5")
    assert len({hit["id"] for hit in mixed["hits"]}) == 5  # type: ignore[attr-defined]


def test_context_is_cited_word_for_word_within_its_budget(project: Project, tiny_model: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    for tokens in (10, 30, 75, 400):
        found = asked(project, "a3 b4", "--context", f"tokens={tokens}", "--no-rerank")
        passages = found["passages"]
        shown = "\n\n".join(f"[{one['n']}] {one['text']}" for one in passages)  # type: ignore[attr-defined]
        assert len(tokenizer.encode(shown, add_special_tokens=False).ids) == found["tokens"] <= tokens
        for one in passages:  # type: ignore[attr-defined]
            assert text_of(int(one["id"][1:]))[one["start"] : one["stop"]] == one["text"]
        assert found["answered"] is bool(passages), "what fits nothing answers nothing"
    assert [one["n"] for one in passages] == list(range(1, len(passages) + 1)) and len(passages) > 5  # type: ignore[arg-type,attr-defined]
    whole = [one for one in passages if "\n\n" in one["text"]]  # type: ignore[attr-defined]
    assert whole, "two paragraphs of one row that are both near are one passage"
    assert [one["id"] for one in passages] == list(dict.fromkeys(one["id"] for one in passages))  # type: ignore[attr-defined]


def test_context_for_people_names_the_rows(project: Project) -> None:
    done = project.command("search", NAME, "a3", "--context", "60")
    assert done.returncode == 0, done.stderr
    assert "[1] h29" in done.stdout and "of 60 (tokens of the encoder)" in done.stdout
    assert "[1] r" in done.stdout.split("\n\n")[-1]


def test_what_cannot_be_asked_is_refused_in_one_line(project: Project) -> None:
    refused(project.command("search", NAME, "--like", "nobody"), "--like nobody", "no such row")
    refused(project.command("search", NAME, "a3", "--context", "tokens=none"), "expected tokens=2000")
    refused(project.command("search", NAME, "--like", "r1", "--context", "100"), "--context cites what answers")
    refused(project.command("search", NAME, "--like", "r1", "--rerank"), "rerank reads the question")
    methods = "expected vector or exact or bm25 or hybrid or svm"
    refused(project.command("search", NAME, "a3", "--method", "nearest"), methods)
    refused(project.command("evaluate", NAME, "--method", "svm"), "has no held-out queries")


def test_a_model_that_is_not_here_or_no_judge_is_refused(root: Path, in_workspace: Workspace, tiny_model: Path) -> None:
    client = connect(root).collection(NAME)
    for model, message in {
        "./nowhere": "nowhere: no such folder",
        "hf:nobody/nothing": "hf:nobody/nothing: not in this machine's cache, and a search never goes online",
        "minilm": "minilm: no cross-encoder; expected ./folder or hf:owner/name@revision",
        str(tiny_model): "rerank expects a cross-encoder",
    }.items():
        declared = client.spec.search.model_copy(
            update={"rerank": client.spec.search.rerank.model_copy(update={"model": model})}
        )  # type: ignore[union-attr]
        changed = client.spec.model_copy(update={"search": declared}).at(client.spec.folder)
        other = type(client)(client.workspace, changed)
        with pytest.raises(EncoderError, match=message):
            other.search("a3")
        assert other.search("a3", rerank=False, k=1).hits


def test_a_rerank_that_is_not_declared_is_refused(root: Path, in_workspace: Workspace) -> None:
    spec = connect(root).collection(NAME).spec
    with pytest.raises(UserError, match=r"expected search: \{rerank: \{model: \./folder\}\} in its declaration$"):
        declared_ask(spec.model_copy(update={"search": Searching()}), "a3", rerank=True)


def test_searching_is_declared_with_its_line(tmp_path: Path) -> None:
    text = DECLARATION.format(name=NAME, model="minilm")
    declared = load_text(text.replace("search: {", "search: {method: svm, diverse: 0.2, svm: {c: 1}, "), "x", tmp_path)
    assert (declared.search.method, declared.search.diverse, declared.search.svm.c) == ("svm", 0.2, 1)
    with pytest.raises(SpecError, match=r"9.*search.diverse"):
        load_text(text.replace("search: {", "search: {diverse: 2, "), "x", tmp_path)

"""Declarations from YAML: what loads, and the one line that says what is wrong, where, and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vector_assets.errors import SpecError
from vector_assets.spec import Collection
from vector_assets.spec.load import find_problems, load_collection, load_text

HEAD = "type: vector_assets.CollectionComponent\nattributes:\n"
GOOD = (
    HEAD
    + """\
  name: papers
  source: {kind: file, path: a.jsonl}
  fields: {title: text}
  spaces:
    text: {fields: [title]}
"""
)
NAME = "expected to match [a-z][a-z0-9_]{0,39}: a small letter, then small letters, digits or _"
CODE = GOOD.replace("{kind: file, path: a.jsonl}", "{kind: python_code, distributions: '*'}").replace("title", "name")


def problems(text: str) -> list[str]:
    return [str(problem).removeprefix("papers/defs.yaml:") for problem in find_problems(text, "papers/defs.yaml")]


def test_yaml_and_python_are_the_same_model(tmp_path: Path) -> None:
    file = tmp_path / "defs.yaml"
    file.write_text(GOOD, encoding="utf-8")
    collection = load_collection(file)
    assert collection == Collection.model_validate(
        {
            "name": "papers",
            "source": {"kind": "file", "path": "a.jsonl"},
            "fields": {"title": "text"},
            "spaces": {"text": {"fields": ["title"]}},
        }
    ).at(tmp_path)
    assert collection.folder == tmp_path
    assert collection.resolve("a.jsonl") == str(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("fields: {", "feilds: {"),
            [
                "5: feilds: unknown key; did you mean fields?; expected one of " + ", ".join(Collection.model_fields),
            ],
        ),
        (
            ("title: text", "title: nmber"),
            [
                "5: fields.title: found 'nmber'; did you mean number?; "
                "expected one of text, number, datetime, category, image"
            ],
        ),
        (
            ("kind: file", "kind: fil"),
            [
                "4: source.kind: found 'fil'; did you mean file?; "
                "expected one of file, python_code, postgres, sql, queue"
            ],
        ),
        (("kind: file, ", ""), ["4: source.kind: is missing; expected one of file, python_code, postgres, sql, queue"]),
        (("{kind: file, path: a.jsonl}", "5"), ["4: source: found 5; expected a mapping"]),
        (
            ("path: a", "pth: a"),
            [
                "4: source.pth: unknown key; did you mean path?; "
                "expected one of kind, path, id, format, partition, since, allow_empty",
            ],
        ),
        (("[title]", "[titel]"), ["7: spaces.text.fields: titel is not a declared field; expected one of title"]),
        (("[title]", "[]"), ["7: spaces.text.fields: found an empty list; expected at least 1 item"]),
        (("[title]", "[5]"), ["7: spaces.text.fields.0: found 5; expected text"]),
        (("[title]", "title"), ["7: spaces.text.fields: found 'title'; expected a list"]),
        (
            ("name: papers", "name: My Papers"),
            [f"3: name: found 'My Papers'; {NAME}"],
        ),
        (
            ("text: {fields", "Text: {fields"),
            [f"7: spaces.Text: found 'Text'; {NAME}"],
        ),
        (
            ("[title]", "[title], train: {pairs: {qury: title}}"),
            [
                "7: spaces.text.train.pairs.qury: unknown key; did you mean query?; expected one of query, min_words",
            ],
        ),
        (
            ("[title]", "[title], train: {pairs: 5}"),
            ["7: spaces.text.train.pairs: found 5; expected a mapping or text"],
        ),
        (
            ("[title]", "[title], train: {pairs: {query: title}}"),
            [
                "7: spaces.text.train.pairs.query: title is also read by the space, so the answer would contain the "
                "question; expected a field that the space does not read"
            ],
        ),
        (
            ("[title]", "[title], layer: top"),
            ["7: spaces.text.layer: found 'top'; expected a whole number or mix"],
        ),
        (
            ("[title]", "[title], train: {pairs: a, search: {learning_rate: [1e-2, 1e-4]}}"),
            ["7: spaces.text.train.search.learning_rate: found 0.01 to 0.0001; expected the lower one first"],
        ),
        (
            ("[title]", "[title], train: {pairs: a, search: {layers: [1]}}"),
            [
                "7: spaces.text.train.search.layers: unknown key; did you mean layer?; expected one of trials, "
                "learning_rate, batch_size, trainable, lora_rank, patience, max_epochs, layer, margin, scale, minutes, "
                "pruner"
            ],
        ),
        (
            ("[title]", "[title], chunk: {by: word}"),
            [
                "7: spaces.text.chunk.by: found 'word'; expected one of none, sentence, window, "
                "paragraph, tokens, markdown, code"
            ],
        ),
        (
            ("[title]", "[title], chunk: {size: 100}"),
            ["7: spaces.text.chunk.size: stands without by; expected by: sentence, paragraph or the like beside it"],
        ),
        (
            ("[title]", "[title], chunk: {by: sentence, overlap: 150}"),
            ["7: spaces.text.chunk.overlap: found 150; expected at most half the size of 200"],
        ),
        (
            (
                "text: {fields: [title]}",
                "a: {fields: [title], chunk: {by: sentence}}\n    b: {fields: [title], chunk: {by: paragraph}}",
            ),
            ["8: spaces.b.chunk: a is cut into chunks already; expected one such space in a collection"],
        ),
        (
            ("{title: text}", "{title: text, id: text}"),
            ["5: fields.id: is the id of the rows already; expected other columns"],
        ),
        (
            ("{title: text}", "{title: text, title: number}"),
            ["5: fields.title: stands twice, first in line 5; expected each key once"],
        ),
        (
            ("a.jsonl", "{{ env.X }}"),
            ["4: source.path: a key is a list or a mapping; expected text ({{ env.NAME }} needs quotes)"],
        ),
        (
            ("type: vector_assets.CollectionComponent", "type: other.Thing"),
            ["1: type: found 'other.Thing'; expected vector_assets.CollectionComponent"],
        ),
        (
            ("type: vector_assets.CollectionComponent\n", ""),
            ["1: type: is missing; expected vector_assets.CollectionComponent"],
        ),
        (
            ("attributes:", "atributes:"),
            ["2: atributes: unknown key; did you mean attributes?; expected type and attributes"],
        ),
    ],
    ids=lambda value: value[1][:40] if isinstance(value, tuple) else "",
)
def test_one_line_says_what_is_wrong_where_and_what_was_expected(change: tuple[str, str], expected: list[str]) -> None:
    assert change[0] in GOOD
    assert problems(GOOD.replace(*change, 1)) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("  index: {recall: 2}\n", ["8: index.recall: found 2; expected less than or equal to 1"]),
        ("  index: {recall: high}\n", ["8: index.recall: found 'high'; expected a number"]),
        (
            "  index: {type: ivf}\n",
            ["8: index.type: found 'ivf'; did you mean ivfflat?; expected one of hnsw, ivfflat, exact"],
        ),
        ("  index:\n", ["8: index: found nothing; expected a mapping"]),
        ("  filters: [topic]\n", ["8: filters: topic is not a declared field; expected one of title"]),
        ("  automation: {on_change: perhaps}\n", ["8: automation.on_change: found 'perhaps'; expected true or false"]),
        (
            "  automation:\n    on_change: true\n    retrain: daily\n",
            [
                "10: automation.retrain: found 'daily'; expected to be a cron line of five parts such as 0 3 * * 0 "
                "(minute hour day month weekday)"
            ],
        ),
        ("  keep_generations: 1.5\n", ["8: keep_generations: found 1.5; expected a whole number"]),
        (
            "  evaluation: {queries: q.jsonl}\n",
            ["8: evaluation: queries and qrels belong together; give both or neither"],
        ),
        ("---\na: 1\n", ["8: a second document starts here; expected one document in a file"]),
        (
            "  owner: !!python/object:os.system {}\n",
            ["8: owner: the tag !!python/object:os.system is not read; expected a plain value"],
        ),
        (
            "  owner: &a [*a]\n",
            ["8: owner.0: aliases that contain themselves or multiply; expected values written out"],
        ),
        ("  owner: a\x01\n", ["8: the character U+0001 is not allowed; expected plain text"]),
        (
            "\towner: a\n",
            [
                "8: not YAML (found character '\\t' that cannot start any token while scanning for the next token); "
                "expected key: value with even indentation"
            ],
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_is_added_is_checked_too(more: str, expected: list[str]) -> None:
    assert problems(GOOD + more) == expected


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_is_said_to_be_one(text: str) -> None:
    (problem,) = problems(text)
    assert problem in (
        "1: is empty; expected type: and attributes:",
        "1: found no keys; expected type: and attributes:",
    )


def test_python_code_offers_its_own_fields() -> None:
    assert problems(CODE) == []
    (problem,) = problems(CODE.replace("name: text}", "name: text, nome: text}"))
    assert problem.startswith(
        "5: fields.nome: python_code has no such field of type text; expected of name: text, qualname: text,"
    )
    assert problems(CODE.replace("'*'", "5")) == ["4: source.distributions: found 5; expected a list or *"]


def test_the_first_problem_is_raised_and_the_others_counted() -> None:
    wrong = GOOD.replace("papers", "P").replace("title: text", "title: x") + "  more: 1\n"
    with pytest.raises(SpecError) as caught:
        load_text(wrong, "papers/defs.yaml", Path())
    assert str(caught.value) == (
        "papers/defs.yaml:3: name: found 'P'; expected to match [a-z][a-z0-9_]{0,39}: "
        "a small letter, then small letters, digits or _ (and 2 more problems)"
    )


def test_a_file_that_is_missing_or_not_text_is_said(tmp_path: Path) -> None:
    file = tmp_path / "defs.yaml"
    with pytest.raises(SpecError) as caught:
        load_collection(file)
    assert str(caught.value) == f"{file}: no such file; expected a declaration, defs/<collection>/defs.yaml"
    file.write_bytes(HEAD.encode() + b"  name: \xff\n")
    with pytest.raises(SpecError) as caught:
        load_collection(file)
    assert str(caught.value) == f"{file}:3: not UTF-8 at byte 60; expected UTF-8 text"


def test_keys_are_taken_as_they_are_written() -> None:
    text = GOOD.replace("{title: text}", "{no: number, 1: text, 2026-01-31: text, title: text}")
    assert list(load_text(text, "x", Path()).fields) == ["no", "1", "2026-01-31", "title"]


def test_variables_are_rendered_before_anything_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPERS", "memory://papers")
    monkeypatch.setenv("KEEP", "7")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("ABSENT", raising=False)
    text = GOOD.replace("a.jsonl", "'{{ env.PAPERS }}/{{ env.EMPTY or \"a\" }}.jsonl'") + (
        "  keep_generations: '{{ env.KEEP or 3 }}'\n"
        "  index: {recall: '{{ env.ABSENT or 0.9 }}'}\n"
        "  owner: '{{ env.ABSENT | default(\"team:x\") }}'\n"
    )
    collection = load_text(text, "x", Path())
    assert collection.resolve(collection.source.path) == "memory://papers/a.jsonl"  # type: ignore[union-attr]
    assert (collection.keep_generations, collection.index.recall, collection.owner) == (7, 0.9, "team:x")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "{{ env.ABSENT }}",
            "the variable ABSENT is not set; expected it in the environment, or {{ env.ABSENT or 'a default' }}",
        ),
        (
            "a/{{ env.ABSENT }}",
            "the variable ABSENT is not set; expected it in the environment, or {{ env.ABSENT or 'a default' }}",
        ),
        (
            "{{ env.keys }}",
            "the variable keys is not set; expected it in the environment, or {{ env.keys or 'a default' }}",
        ),
        (
            "{{ env.ABSENT",
            "is no template (unexpected end of template, expected 'end of print statement'.); expected {{ env.NAME }}",
        ),
        ("{{ other.X }}", "'other' is undefined; expected {{ env.NAME }}"),
        ("{{ 1 / 0 }}", "cannot be rendered (ZeroDivisionError: division by zero); expected {{ env.NAME }}"),
        ("{{ env }}", "gives _Variables; expected {{ env.NAME }}"),
        (
            "{{ ''.__class__.__mro__ }}",
            "is no template (access to attribute '__class__' of 'str' object is unsafe.); expected {{ env.NAME }}",
        ),
    ],
)
def test_a_template_that_fails_names_its_line(template: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ABSENT", raising=False)
    assert problems(GOOD.replace("path: a.jsonl", f'path: "{template}"')) == [f"4: source.path: {message}"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.sampled_from(list(Collection.model_fields)), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(json_values)
def test_any_attributes_load_or_give_one_line_each(attributes: object) -> None:
    text = yaml.safe_dump({"type": "vector_assets.CollectionComponent", "attributes": attributes})
    for problem in find_problems(text, "f"):
        line = str(problem)
        assert line.startswith(f"f:{problem.line}: ")
        assert 1 <= problem.line <= text.count("\n") + 1
        assert ";" in line and " expected " in line


@given(st.text())
def test_any_text_loads_or_is_refused_with_a_line(text: str) -> None:
    assert find_problems(text, "f")


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ("{tasks: {}}", "9: scores.tasks: found an empty mapping; expected at least 1 item"),
        ("{tasks: {A: {kind: sts}}}", "9: scores.tasks.A.pairs: is missing; expected text"),
        ("{tasks: {A: {kind: rank, pairs: p}}}", "9: scores.tasks.A"),
        ("{tasks: {../A: {kind: sts, pairs: p}}}", "9: scores.tasks"),
        ("{tasks: {A: {kind: retrieval}}}", "9: scores.tasks.A: queries stand neither here nor in evaluation"),
        ("{tasks: {A: {kind: retrieval, queries: q}}}", "9: scores.tasks.A: queries and qrels belong together"),
        ("{tasks: {A: {kind: clustering}}}", "9: scores.tasks.A: file and labels: expected exactly one of the two"),
        (
            "{tasks: {A: {kind: clustering, labels: title}}}",
            "9: scores.tasks.A.labels: title is also read",
        ),
        ("{tasks: {A: {kind: clustering, labels: n}}}", "9: scores.tasks.A.labels: n is a field of type number"),
        ("{tasks: {A: {kind: clustering, labels: x}}}", "9: scores.tasks.A.labels: x is not a declared field"),
        ("{tasks: {A: {kind: classification, train: t}}}", "9: scores.tasks.A: train and test belong together"),
        ("{tasks: {A: {kind: sts, pairs: p}}, space: b}", "9: scores.space: b is not a space of texts; expected text"),
    ],
)
def test_wrong_scores_are_one_line(scores: str, expected: str) -> None:
    text = GOOD.replace("{title: text}", "{title: text, n: number}") + f"  filters: [n]\n  scores: {scores}\n"
    (problem,) = problems(text)
    assert problem.startswith(expected), problem

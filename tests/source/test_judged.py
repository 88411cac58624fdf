"""Judged queries in the BEIR layout, and training pairs from files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from vector_assets.errors import SourceError
from vector_assets.records import JudgedPassage, JudgedQuery, KeyColumn
from vector_assets.source.judged import read_graded, read_judged, read_qrels, read_queries
from vector_assets.source.pairs_file import FilePair, read_pairs, read_triplets

SCIFACT = Path(__file__).resolve().parents[3] / "shared/data/scifact"
HEADER = "query-id\tcorpus-id\tscore\n"


def write(folder: Path, name: str, text: str) -> str:
    data = text.encode()
    (folder / name).write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
    return str(folder / name)


def queries(folder: Path, *rows: dict[str, object], name: str = "queries.jsonl.gz") -> str:
    return write(folder, name, "\n".join(map(json.dumps, rows)))


def test_judged_queries_have_an_answer_and_keep_the_order_of_their_file(tmp_path: Path) -> None:
    asked = queries(tmp_path, {"_id": "q2", "text": "two"}, {"id": 1, "text": "one"}, {"_id": "q3", "text": "none"})
    judged = write(tmp_path, "qrels.tsv.gz", HEADER + "1\t4983\t1\nq2\tä b\t2\r\nq2\tno\t0\n1\t7\t3\nq3\t7\t0\n")
    expected = [
        JudgedQuery(id="q2", text="two", relevant={'["ä b"]': 2.0}),
        JudgedQuery(id="1", text="one", relevant={'["4983"]': 1.0, '["7"]': 3.0}),
    ]
    assert read_judged(asked, judged) == expected
    assert read_queries(asked) == {"q2": "two", "1": "one", "q3": "none"}
    assert [one.relevant for one in read_graded(asked, judged)] == [
        {'["ä b"]': 2.0, '["no"]': 0.0}, {'["4983"]': 1.0, '["7"]': 3.0}, {'["7"]': 0.0}
    ]  # fmt: skip


def test_a_query_may_say_which_slice_it_belongs_to(tmp_path: Path) -> None:
    asked = queries(tmp_path, {"_id": "a", "text": "one", "slice": "hard"}, {"_id": "b", "text": "two", "slice": None})
    judged = write(tmp_path, "qrels.tsv", "a\t1\t1\nb\t1\t1\n")
    assert [query.slice for query in read_judged(asked, judged)] == ["hard", ""]
    with pytest.raises(SourceError, match=r"q\.jsonl:1: slice is a list; expected text"):
        read_queries(queries(tmp_path, {"_id": "a", "text": "one", "slice": ["x"]}, name="q.jsonl"))


def test_headers_are_optional_trec_is_read_and_keys_follow_the_collection(tmp_path: Path) -> None:
    plain = write(tmp_path, "a.tsv", "1\t4983\t1\n")
    trec = write(tmp_path, "b.txt", "1 0 4983 1\n")
    assert read_qrels(plain) == read_qrels(trec) == {"1": {'["4983"]': 1.0}}
    assert read_qrels(plain, [KeyColumn("id", "bigint")]) == {"1": {"[4983]": 1.0}}
    both = write(tmp_path, "c.tsv", '1\t["de", 5]\t1\n')
    assert read_qrels(both, [KeyColumn("lang", "text"), KeyColumn("n", "integer")]) == {"1": {'["de",5]': 1.0}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "1\t2\n", "qrels.tsv:2: found 2 columns; expected query-id, corpus-id and score, separated by tabs"),
        (HEADER + "1\t2\tgood\n", "qrels.tsv:2: score is 'good'; expected a number"),
        (HEADER + "1\t2\tnan\n", "qrels.tsv:2: score is 'nan'; expected a number"),
        ("1\t2\t1\n1\t2\t2\n", "qrels.tsv:2: 1 and 2 were judged before with another score; expected one"),
        ("9\t2\t1\n", "qrels.tsv: query-id '9' is not in queries.jsonl.gz; expected judgements of its queries only"),
        ("1\t2\t0\n", "qrels.tsv: no query has a judgement above 0; expected at least one"),
    ],
)
def test_wrong_judgements_are_named_with_their_line(text: str, message: str, tmp_path: Path) -> None:
    asked = queries(tmp_path, {"_id": "1", "text": "one"})
    with pytest.raises(SourceError) as caught:
        read_judged(asked, write(tmp_path, "qrels.tsv", text))
    assert str(caught.value).replace(f"{tmp_path}/", "") == message


def test_judgements_as_json_lines_may_name_the_passage_that_answers(tmp_path: Path) -> None:
    asked = queries(tmp_path, {"_id": "a", "text": "one"}, {"_id": "b", "text": "two"})
    lines = [
        {"query-id": "a", "corpus-id": 7, "score": 2, "passage": "it is so"},
        {"query-id": "a", "corpus-id": 7, "score": 2, "start": 3, "stop": 9},
        {"query-id": "a", "corpus-id": 8},
        {"query_id": "b", "corpus_id": "8", "score": 1},
        {"query-id": "b", "corpus-id": "9", "score": 0, "passage": "no answer"},
    ]
    judged = write(tmp_path, "qrels.jsonl.gz", "\n".join(map(json.dumps, lines)))
    assert read_judged(asked, judged, [KeyColumn("id", "bigint")]) == [
        JudgedQuery(
            "a", "one", {"[7]": 2.0, "[8]": 1.0},
            passages={"[7]": (JudgedPassage("it is so"), JudgedPassage(span=(3, 9)))},
        ),
        JudgedQuery("b", "two", {"[8]": 1.0}),
    ]  # fmt: skip
    assert read_qrels(judged) == {"a": {'["7"]': 2.0, '["8"]': 1.0}, "b": {'["8"]': 1.0}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"start": 3, "stop": 3}, "start is 3 and stop 3; expected whole numbers, 0 or more, start below stop"),
        ({"start": 3}, "start is 3 and stop None; expected whole numbers, 0 or more, start below stop"),
        ({"passage": " "}, "passage is empty; expected text, or no such key"),
        ({"passage": "x", "start": 1, "stop": 2}, "passage stands beside start and stop; expected one or the other"),
        ({"score": "good"}, "score is the text 'good'; expected a number"),
    ],
)
def test_a_wrong_passage_is_named_with_its_line(line: dict[str, object], message: str, tmp_path: Path) -> None:
    asked = queries(tmp_path, {"_id": "a", "text": "one"})
    judged = write(tmp_path, "qrels.jsonl", json.dumps({"query-id": "a", "corpus-id": "7", **line}))
    with pytest.raises(SourceError) as caught:
        read_judged(asked, judged)
    assert str(caught.value).replace(f"{tmp_path}/", "") == f"qrels.jsonl:1: {message}"


def test_wrong_queries_are_named_with_their_line(tmp_path: Path) -> None:
    for rows, message in (
        (
            [{"_id": "1", "text": "a"}, {"_id": "1", "text": "b"}],
            "q.jsonl:2: query '1' stands twice; expected each id once",
        ),
        ([{"text": "a"}], "q.jsonl:1: _id or id is missing; expected text"),
        ([{"_id": "1", "text": ["a"]}], "q.jsonl:1: text is a list; expected text"),
    ):
        with pytest.raises(SourceError) as caught:
            read_queries(queries(tmp_path, *rows, name="q.jsonl"))
        assert str(caught.value).replace(f"{tmp_path}/", "") == message


@pytest.mark.skipif(not SCIFACT.is_dir(), reason="the scifact data set is not on this machine")
def test_scifact_reads_as_published() -> None:
    judged = read_judged(str(SCIFACT / "queries.jsonl.gz"), str(SCIFACT / "qrels_test.tsv.gz"))
    assert len(judged) == 300
    assert sum(len(query.relevant) for query in judged) == 339


def test_pairs_are_read_with_their_group_and_place(tmp_path: Path) -> None:
    rows = [{"query": "q", "document": "d", "group": 7}, {"query": "q2", "document": "d2"}]
    file = write(tmp_path, "pairs.jsonl.gz", "\n\n".join(map(json.dumps, rows)))
    assert list(read_pairs(file)) == [
        FilePair(query="q", document="d", group="7", where=f"{file}:1"),
        FilePair(query="q2", document="d2", group=None, where=f"{file}:3"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"query": "q"}', "document is missing; expected text"),
        ('{"query": null, "document": "d"}', "query is missing; expected text"),
        ('{"query": "q", "document": 1.5}', "document is the number 1.5; expected text"),
        ('{"query": "q", "document": "d", "group": ["x"]}', "group is a list; expected text"),
        ('{"query": "q\\u0000", "document": "d"}', "query has a NUL character or half a surrogate pair"),
        ("[1]", "found a list; expected a JSON object"),
        ("{", "not JSON (Expecting property name enclosed in double quotes at character 2); expected a JSON object"),
    ],
)
def test_the_first_line_that_is_no_pair_is_named(line: str, message: str, tmp_path: Path) -> None:
    file = write(tmp_path, "pairs.jsonl", '{"query": "q", "document": "d"}\n' + line)
    pairs = read_pairs(file)
    next(pairs)
    with pytest.raises(SourceError) as caught:
        next(pairs)
    assert str(caught.value) == f"{file}:2: {message}"


def test_triplets_have_one_negative_or_several(tmp_path: Path) -> None:
    rows = [
        {"query": "q", "positive": "p", "negative": "n", "group": "g"},
        {"query": "q", "positive": "p", "negative": ["n", "m"], "time": "2026-01-01"},
        {"query": "q", "positive": "p", "negatives": ["o"], "time": "2026-01-01"},
    ]
    file = write(tmp_path, "triplets.jsonl", "\n".join(map(json.dumps, rows)))
    found = list(read_triplets(file))
    assert [(one.negatives, one.group, one.time) for one in found] == [
        (("n",), "g", None), (("n", "m"), None, None), (("o",), None, None)
    ]  # fmt: skip
    with pytest.raises(SourceError, match=r"triplets\.jsonl:1: time is missing"):
        list(read_triplets(file, timed=True))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"query": "q", "document": "d", "negative": "n"}', "positive is missing; expected text"),
        ('{"query": "q", "positive": "p"}', "negative is missing; expected text, or a list of texts"),
        ('{"query": "q", "positive": "p", "negative": []}', "negative is empty; expected at least one text"),
        (
            '{"query": "q", "positive": "p", "negatives": ["n", 5]}',
            "negatives has the number 5; expected text, or a list of texts",
        ),
        (
            '{"query": "q", "positive": "p", "negative": "\\ud800"}',
            "negative has a NUL character or half a surrogate pair",
        ),
    ],
)
def test_the_first_line_that_is_no_triplet_is_named(line: str, message: str, tmp_path: Path) -> None:
    file = write(tmp_path, "triplets.jsonl", '{"query": "q", "positive": "d", "negative": "n"}\n' + line)
    with pytest.raises(SourceError) as caught:
        list(read_triplets(file))
    assert str(caught.value) == f"{file}:2: {message}"

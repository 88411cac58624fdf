"""Methods and generations side by side on the same questions: intervals, pairs, a line a question."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from fakes import ANIMALS, FakeStore, KeywordEncoder
from stages import WRONG, materialize, measure

from vector_assets.commands.evaluating import evaluated_json, show_evaluated, write_lines
from vector_assets.errors import NotFound, UserError
from vector_assets.index.systems import compare_pairs, per_query, system
from vector_assets.metrics import EVALUATED, bootstrap_interval, paired_bootstrap
from vector_assets.records import JudgedQuery
from vector_assets.stores.evaluating import evaluate_live


def judged(count: int) -> list[JudgedQuery]:
    return [JudgedQuery(f"q{n}", "", {f"r{n}": 1.0}) for n in range(count)]


def at(place: int, number: int) -> list[str]:
    """A ranking whose answer stands at a place, counted from 0."""
    return [*(f"other{n}" for n in range(place)), f"r{number}", "last"]


def test_each_mean_has_the_interval_of_its_own_questions() -> None:
    queries = judged(40)
    found = system("vector", {query.id: at(n % 3, n) for n, query in enumerate(queries)}, queries)
    assert list(found.means) == list(EVALUATED)
    wanted = [1 / (1 + n % 3) for n in range(40)]
    mrr = found.means["mrr@10"]
    assert mrr.mean == pytest.approx(np.mean(wanted)) and (mrr.low, mrr.high) == bootstrap_interval(wanted)
    assert mrr.low < mrr.mean < mrr.high


def test_every_pair_is_tested_and_corrected_for_their_number() -> None:
    queries = judged(60)
    places = {"a": lambda n: n % 2, "b": lambda n: n % 5, "c": lambda n: n % 2 + n % 7 // 6}
    systems = [
        system(name, {query.id: at(place(n), n) for n, query in enumerate(queries)}, queries)
        for name, place in places.items()
    ]
    found = compare_pairs(systems, "mrr@10")
    assert [(each.old, each.new) for each in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    alone = paired_bootstrap(systems[0].scores["mrr@10"], systems[1].scores["mrr@10"], metric="mrr@10")
    assert found[0].comparison == alone
    smallest = min(found, key=lambda each: each.comparison.p)
    assert smallest.p_holm == pytest.approx(min(1.0, 3 * smallest.comparison.p))
    assert all(each.p_holm >= each.comparison.p for each in found)
    told = found[0].record()
    assert (told["old"], told["new"], told["difference"]) == ("a", "b", told["new_mean"] - told["old_mean"])


def test_a_line_a_question_and_system_as_json_and_as_a_table(tmp_path: Path) -> None:
    queries = judged(2)
    systems = [system(name, {"q0": ["r0"], "q1": ["x", "r1", "r1"]}, queries) for name in ("vector", "generation 2")]
    lines = list(per_query(systems, queries))
    assert [(line["query"], line["method"], line["mrr@10"], line["found"]) for line in lines[1:3]] == [
        ("q0", "generation 2", 1.0, ["r0"]), ("q1", "vector", 0.5, ["x", "r1"]),
    ]  # fmt: skip
    write_lines(lines, tmp_path / "each.jsonl")
    assert [json.loads(line) for line in (tmp_path / "each.jsonl").read_text().splitlines()] == lines
    write_lines(lines, tmp_path / "each.tsv")
    with (tmp_path / "each.tsv").open(newline="") as file:
        (first, *_) = csv.DictReader(file, delimiter="\t")
    assert list(first) == ["query", "method", *EVALUATED, "found"] and json.loads(first["found"]) == ["r0"]
    with pytest.raises(UserError, match="expected a file that can be written"):
        write_lines(lines, tmp_path / "nowhere" / "each.tsv")


def test_methods_and_kept_generations_of_a_collection(store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    materialize(store)
    store.use(KeywordEncoder(seed="2", order=WRONG))
    store.embed()
    measure(store)
    found = evaluate_live(store, methods=["vector", "exact"], generations=[1, 2, 2])
    assert [each.name for each in found.systems] == ["vector", "exact", "generation 1", "generation 2"]
    means = [each.means["ndcg@10"].mean for each in found.systems]
    assert means == [1.0, 1.0, 1.0, 0.0]
    assert len(found.tested) == 6 and {each.comparison.metric for each in found.tested} == {found.metric}
    told = evaluated_json(found)
    assert {name: told[name] for name in EVALUATED} == found.scores and told["generation"] == 1
    assert told["queries"] == len(ANIMALS) and set(told["arms"]) == {"live", "candidate", "bm25"}
    assert told["methods"]["generation 2"]["ndcg@10"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert len(told["comparisons"]) == 6 and "p_holm" in told["comparisons"][0]
    json.dumps(told)
    show_evaluated(found)
    printed = capsys.readouterr().out
    assert "1.000-1.000" in printed and "p is corrected for 6 comparisons (Holm)" in printed


def test_what_cannot_be_asked_is_said_with_what_can(store: FakeStore) -> None:
    materialize(store)
    with pytest.raises(NotFound, match=r"generation 7 .* is not kept; expected one of 1 "):
        evaluate_live(store, generations=[7])
    with pytest.raises(UserError, match="knows no such method; expected vector or exact"):
        evaluate_live(store, methods=["telepathy"])  # type: ignore[list-item]
    store.questions_asked = [JudgedQuery("a", "a cat", {"[4]": 1.0}, among=frozenset(["[4]", "[8]"]))]
    assert evaluate_live(store).method == "exact"

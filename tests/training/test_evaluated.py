"""Questions that a collection is judged by are learned from in no way: as queries, labelled texts, or texts alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vector_assets.errors import SpecError
from vector_assets.records import TrainingSet
from vector_assets.spec import Split, Training
from vector_assets.spec.learning import Pretraining
from vector_assets.training.evaluated import without_evaluated
from vector_assets.training.pair_rows import PairRow
from vector_assets.training.pairs import pairs_digest, pairs_from_rows
from vector_assets.training.unlabelled import pretraining_texts, with_unlabelled

SPLIT = Split(by="g", validation=["v"], test=["t"])
FILE = Training(pairs="pairs.jsonl", split=SPLIT)
LONG = "does the vaccine that was given in winter protect older people from a second infection"
NEAR = LONG.replace("infection", "illness")


def _rows(count: int = 4) -> list[PairRow]:
    """Questions of the groups a (train), v (validation) and t (test), with answers of their own."""
    return [
        PairRow(f'["{g}{n}"]', f"{g} asks number{n}", f"{g} answers {g}{n} in{g}{n} full{n}", g, weight=float(1 + n))
        for g in "avt"
        for n in range(count)
    ]


def _queries(found: TrainingSet) -> set[str]:
    return {pair.query for pair in found.pairs}


def test_what_asks_an_evaluated_question_leaves_train_and_validation_and_is_counted() -> None:
    rows = [*_rows(), PairRow("1", NEAR, "w1 w2 w3 w4", "a"), PairRow("2", "A  asks NUMBER0", "u1 u2 u3 u4", "a")]
    questions = [LONG, "a asks number0", "v asks number1", "t asks number2", "nobody asks this"]
    found = pairs_from_rows(rows, FILE, evaluated=questions)
    assert found.report["evaluated"] == 4
    assert _queries(found) == {row.query for row in _rows()} - {"a asks number0", "v asks number1"}
    assert (found.report["train"], found.report["validation"], found.report["test"]) == (3, 3, 4)
    assert sum(pair.weight for pair in found.split("train")) == pytest.approx(3, abs=1e-5)
    assert "evaluated" not in pairs_from_rows(rows, FILE).report


def test_the_row_that_answers_an_evaluated_question_may_still_be_learned() -> None:
    rows = [*_rows(), PairRow("1", "other words to ask", LONG, "a")]
    found = pairs_from_rows(rows, FILE, evaluated=[LONG])
    assert found.report["evaluated"] == 0 and LONG in {pair.document for pair in found.split("train")}


def test_evaluated_questions_leave_before_the_caps() -> None:
    capped = FILE.model_copy(update={"max_validation": 2})
    found = pairs_from_rows(_rows(6), capped, evaluated=[f"v asks number{n}" for n in range(4)])
    assert {pair.query for pair in found.split("validation")} == {"v asks number4", "v asks number5"}


def test_nothing_left_is_one_clear_error() -> None:
    with pytest.raises(
        SpecError, match=r"0 pairs in train, .* 4 ask what evaluation: or scores: ask.* other questions"
    ):
        pairs_from_rows(_rows(), FILE, evaluated=[f"a asks number{n}" for n in range(4)])
    drawn = pairs_from_rows(_rows(), FILE)
    with pytest.raises(SpecError, match=r"1 pairs in validation, .* 3 ask what evaluation: or scores: ask"):
        without_evaluated(drawn, [f"v asks number{n}" for n in range(3)], FILE)


def test_a_labelled_text_is_as_a_query_is() -> None:
    labelled = Training(objective="triplet", labels="kind", split=SPLIT)
    rows = [
        PairRow(row.key, "", row.document, row.group, f"kind {n % 2}") for n, row in enumerate(_rows(6))
    ]  # fmt: skip
    asked = [rows[0].document, rows[7].document.upper()]
    found = pairs_from_rows(rows, labelled, evaluated=asked)
    assert found.report["evaluated"] == 2
    assert not {pair.document for pair in found.pairs} & {rows[0].document, rows[7].document}
    assert without_evaluated(pairs_from_rows(rows, labelled), asked, labelled).pairs == found.pairs


def test_a_text_that_is_learned_by_itself_is_none_of_the_questions() -> None:
    alone = Training(objective="dropout_pairs", split=SPLIT)
    rows = [replace(row, key="", query=" ".join(row.document.split()[1:3])) for row in _rows()]
    found = pairs_from_rows(rows, alone, evaluated=[rows[1].document])
    assert found.report["evaluated"] == 1 and rows[1].document not in {pair.document for pair in found.pairs}
    first = Training(pairs="p.jsonl", split=SPLIT, pretrain=Pretraining(objective="denoising"))
    answers = [row.document for row in _rows()]
    drawn = pairs_from_rows(_rows(), first, evaluated=[LONG, answers[0]])
    texts = [PairRow("8", "", NEAR), PairRow("9", "", "nobody will ask these words")]
    read = with_unlabelled(drawn, texts, first, evaluated=[LONG, answers[0]])
    assert (read.report["evaluated"], read.report["unlabelled"]) == (2, 1)
    assert set(pretraining_texts(read, first)) == {*answers[1:4], "nobody will ask these words"}
    both = with_unlabelled(pairs_from_rows(_rows(), first), texts, first)
    assert without_evaluated(both, [LONG, answers[0]], first) == read


def test_a_kept_set_loses_what_is_asked_now_and_is_the_same_where_nothing_is() -> None:
    drawn = pairs_from_rows(_rows(), FILE)
    assert without_evaluated(drawn, ["nobody asks this", "t asks number1"], FILE) is drawn
    assert without_evaluated(drawn, [], FILE) is drawn
    found = without_evaluated(drawn, ["a asks number3", "v asks number0", "t asks number0"], FILE)
    assert found == pairs_from_rows(_rows(), FILE, evaluated=["a asks number3", "v asks number0"])
    assert found.digest == pairs_digest(found.pairs) != drawn.digest
    again = without_evaluated(found, ["a asks number0"], FILE)
    assert (again.report["evaluated"], again.report["train"], again.report["validation"]) == (3, 2, 3)

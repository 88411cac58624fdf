"""Training sets from judgements, clicks, triplets and times, against a real table: what is drawn, counted, refused."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from drawn_images import soft_picture
from fakes import Declare, Execute
from PIL import Image

from vector_assets.errors import SourceError, UserError
from vector_assets.records import Checkpoint, TrainingSet
from vector_assets.spec import Collection
from vector_assets.stores.asking import synthetic_queries
from vector_assets.stores.checkpoints import StoredEncoder
from vector_assets.stores.held_out import of_test_split
from vector_assets.stores.training_sets import draw_training_set
from vector_assets.stores.workspace import Workspace

ROWS = 60
START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("query", "shown", "position", "clicked", "session", "noted")
Draw = Callable[..., TrainingSet]


@pytest.fixture
def draw(declare: Declare, execute: Execute, name: str, workspace: Workspace, tmp_path: Path) -> Draw:
    """Draws a training set over rows 1..60: row n says a<n> b<n> and was published on day n."""
    execute(f"create table {name} (id bigint primary key, title text, published timestamptz)")
    execute(
        f"insert into {name} select i, 'a' || i || ' b' || i, "
        f"timestamptz '2026-01-01 00:00Z' + i * interval '1 day' from generate_series(1, {ROWS}) i"
    )

    def run(**train: object) -> TrainingSet:
        split = {"validation": 0.2, "test": 0.2}
        collection: Collection = declare(
            fields={"title": "text", "published": "datetime"},
            spaces={"text": {"fields": ["title"], "train": {"split": split} | train}},
        ).at(tmp_path)
        found = draw_training_set(workspace, collection, "text", refresh=True).training_set
        assert workspace.training_sets.get(found.digest) == found, "what is stored is what was drawn"
        return found

    return run


def _jsonl(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("\n".join(json.dumps(row, default=str) for row in rows) + "\n")


def _judge(folder: Path, *more: str) -> dict[str, str]:
    """Query n judges row n with grade 1 or 3, the next row with 0, and another with a grade of 0.5."""
    _jsonl(folder / "queries.jsonl", [{"_id": f"q{n}", "text": f"asks{n} for{n} it"} for n in range(1, ROWS + 1)])
    lines = [
        f"q{n}\t{n}\t{1 + 2 * (n % 2)}\nq{n}\t{n % ROWS + 1}\t0\nq{n}\t{(n + 1) % ROWS + 1}\t0.5"
        for n in range(1, ROWS + 1)
    ]
    (folder / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *lines, *more]) + "\n")
    return {"queries": "queries.jsonl", "qrels": "qrels.tsv"}


def test_judged_rows_are_pairs_by_grade_with_those_judged_0_as_negatives(draw: Draw, tmp_path: Path) -> None:
    found = draw(relevance=_judge(tmp_path, "q1\t4983\t2", "q2\t4984\t0"))
    assert (found.report["rows"], found.report["unknown_row"], found.report["unknown_negative"]) == (60, 1, 1)
    assert found.report["below_min_grade"] == 60 and found.report["judged_queries"] == 60
    train = {pair.key: pair for pair in found.split("train")}
    weights = {number % 2: train[f"[{number}]"].weight for number in range(1, ROWS + 1) if f"[{number}]" in train}
    assert weights[1] / weights[0] == pytest.approx(7, rel=1e-4), "2^3 - 1 against 2^1 - 1"
    held_out = {pair.document for name in ("validation", "test") for pair in found.split(name)}  # type: ignore[arg-type]
    for key, pair in train.items():
        number = int(key[1:-1])
        assert (pair.query, pair.document, pair.group) == (
            f"asks{number} for{number} it",
            f"a{number} b{number}",
            f"q{number}",
        )
        negative = f"a{number % ROWS + 1} b{number % ROWS + 1}"
        assert pair.negatives == (() if negative in held_out else (negative,))
    assert found.report["near_duplicate_negatives"] > 0


def test_judged_queries_can_be_split_by_the_times_of_their_rows(draw: Draw, tmp_path: Path) -> None:
    found = draw(relevance=_judge(tmp_path), split={"by_time": "published", "validation": 0.2, "test": 0.2})
    days = {name: [int(pair.key[1:-1]) for pair in found.split(name)] for name in ("train", "validation", "test")}  # type: ignore[arg-type]
    assert sorted(days["test"]) == list(range(49, 61)) and sorted(days["validation"]) == list(range(37, 49))
    assert found.report["test_from"] == (START + timedelta(days=49)).timestamp()


def test_judgements_that_cannot_be_are_refused(draw: Draw, tmp_path: Path) -> None:
    draw(relevance=_judge(tmp_path, "q1\t7\t20"))
    for more, message in (
        (["q1\t7\t4983"], r"qrels.tsv: q1 and \[7\] have grade 4983; expected 20 at most"),
        (["q1\tx\t1"], r"qrels.tsv:182: key 'x'; id is bigint, expected a whole number"),
        (["q999\t1\t1"], r"qrels.tsv: query-id 'q999' is not in .*queries.jsonl"),
    ):
        with pytest.raises(UserError, match=message):
            draw(relevance=_judge(tmp_path, *more))
    (tmp_path / "qrels.tsv").write_text("q1\t1001\t1\nq2\t1002\t1\n")
    with pytest.raises(SourceError, match=r"qrels.tsv: none of the 2 rows that it names is in"):
        draw(relevance={"queries": "queries.jsonl", "qrels": "qrels.tsv"})


def _log() -> list[dict[str, object]]:
    """Query n shows rows n, n+1 and 999 (gone) eight times, n first or second in turn; n is clicked, 999 never."""
    lines: list[dict[str, object]] = []
    for n in range(1, ROWS, 2):
        for showing in range(8):
            first, second = (n, n + 1) if showing % 2 else (n + 1, n)
            for position, row in ((1, 999), (2, first), (3, second)):
                clicked = row == n and (position == 2 or showing % 4 == 0)
                at = START + timedelta(days=n, hours=showing)
                lines.append({"query": f"asks{n} for{n} it", "shown": row, "position": position, "clicked": clicked,
                              "session": f"{n}-{showing}", "time": at})  # fmt: skip
    return lines


def _check_clicked(found: TrainingSet) -> None:
    assert {pair.key for pair in found.pairs} == {f"[{n}]" for n in range(1, ROWS, 2)}
    assert found.report["unknown_negative"] == 30 and found.report["unknown_row"] == 0
    assert found.report["position_03_propensity"] == pytest.approx(0.5) and found.report["position_02_propensity"] == 1
    assert "position_01_propensity" not in found.report and found.report["position_01_shown"] == 240
    assert {pair.weight for pair in found.pairs} == {1.0}
    assert all(pair.group == pair.query for pair in found.pairs), "what answers one query stays together"
    for pair in found.split("train"):  # the row beside it was passed over above each click on it
        assert pair.negatives == (f"a{int(pair.key[1:-1]) + 1} b{int(pair.key[1:-1]) + 1}",)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_clicks_of_a_file_are_pairs_without_their_position_bias(draw: Draw, tmp_path: Path, ending: str) -> None:
    import pyarrow as pa
    from pyarrow import csv, parquet

    table = pa.Table.from_pylist(_log())
    if ending == "jsonl":
        _jsonl(tmp_path / "log.jsonl", _log())
    elif ending == "csv":
        csv.write_csv(table, tmp_path / "log.csv")
    else:
        parquet.write_table(table, tmp_path / "log.parquet")
    clicks = {"file": f"log.{ending}", "min_impressions": 5}
    _check_clicked(draw(clicks=clicks))
    newest = draw(clicks=clicks, split={"by_time": "time", "validation": 0.2, "test": 0.2})
    assert {int(pair.key[1:-1]) for pair in newest.split("test")} == {49, 51, 53, 55, 57, 59}


def test_clicks_of_a_table_of_ours_and_of_another_database(
    draw: Draw, execute: Execute, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = "query text, shown text, position int, clicked int, session text, noted text"
    values = [
        (one["query"], str(one["shown"]), one["position"], int(bool(one["clicked"])), one["session"], "12:30")
        for one in _log()
    ]
    execute(f"create table {name}_log ({columns})")
    records = json.dumps([dict(zip(NAMES, one, strict=True)) for one in values])
    execute(f"insert into {name}_log select * from json_to_recordset(%s) as ({columns})", (records,))
    first = draw(clicks={"table": f"public.{name}_log", "min_impressions": 5})
    _check_clicked(first)
    with sqlite3.connect(tmp_path / "log.db") as lite:
        lite.execute(f"create table log ({columns})")
        lite.executemany("insert into log values (?, ?, ?, ?, ?, ?)", values)
    monkeypatch.setenv("LOG_URL", f"sqlite:///{tmp_path}/log.db")
    elsewhere = {"url": "{{ env.LOG_URL }}", "min_impressions": 5}
    assert draw(clicks={"query": "select * from log where noted = '12:30';", **elsewhere}).digest == first.digest
    with pytest.raises(SourceError, match="has no column time; it has query, shown"):
        draw(clicks={"table": "log", **elsewhere}, split={"by_time": "time"})
    with pytest.raises(SourceError, match="has no column clicked; it has query, shown, position"):
        draw(clicks={"query": "select query, shown, position from log", **elsewhere})
    with pytest.raises(SourceError, match=r"train\.clicks: .* cannot be read: no such table"):
        draw(clicks={"table": "nothing", **elsewhere})


def test_labels_of_a_table_are_a_source(draw: Draw, execute: Execute, name: str) -> None:
    execute(f"create table {name}_labels (id bigint, label text, who text)")
    execute(f"insert into {name}_labels select i, 'of ' || i % 2, 'me' from generate_series(3, {ROWS}) i")
    labels = {"table": f"{name}_labels"}
    first = draw(objective="triplet", labels=labels)
    assert first.report["no_label"] == 2 and first.report["labels"] == 2
    execute(f"insert into {name}_labels values (1, 'of 1', 'you')")
    again = draw(objective="triplet", labels={"query": f"select label, id from {name}_labels"})
    assert again.report["no_label"] == 1 and again.digest != first.digest
    assert (again.report["unknown_row"], again.report["ambiguous"]) == (0, 0)
    execute(f"insert into {name}_labels values (1, 'of 0', 'them'), (1, 'of 1', 'us'), (4983, 'of 0', 'me')")
    third = draw(objective="triplet", labels=labels)
    assert third.report["ambiguous"] == 1 and third.report["unknown_row"] == 1 and third.report["no_label"] == 1
    assert third.digest == first.digest, "neither a row that is gone nor one that is in doubt says anything"
    execute(f"update {name}_labels set id = id + 5000")
    with pytest.raises(SourceError, match=r"train\.labels: none of the 60 rows that it names is in"):
        draw(objective="triplet", labels=labels)
    execute(f"update {name}_labels set label = null where id = 5001")
    with pytest.raises(SourceError, match=r"train\.labels: row \d+: label is null; expected text"):
        draw(objective="triplet", labels=labels)


def _file_of_pairs(folder: Path, *, ids: bool) -> list[dict[str, object]]:
    """Forty questions; pair n is answered by row n, of which 1 to 30 say what the file says, in other white space."""
    rows: list[dict[str, object]] = [
        {"query": f"asks{n} for{n} it", "document": f" a{n}\n b{n} " if n <= 30 else f"gone{n} text{n}"}
        | ({"id": n + (n > 35) * 1000} if ids else {})
        for n in range(1, 41)
    ]
    _jsonl(folder / "pairs.jsonl", rows)
    return rows


def test_pairs_of_a_file_name_their_rows_by_text(draw: Draw, tmp_path: Path) -> None:
    _file_of_pairs(tmp_path, ids=False)
    found = draw(pairs="pairs.jsonl")
    assert (found.report["rows"], found.report["unknown_row"]) == (40, 10)
    named = {pair.query.split()[0]: pair.key for pair in found.pairs}
    assert {key for query, key in named.items() if int(query[4:]) > 30} == {""}
    assert all(key == f"[{query[4:]}]" for query, key in named.items() if int(query[4:]) <= 30)
    held = of_test_split("text", found.split("test"))
    assert (
        {query.text: dict(query.relevant) for query in held}
        == {pair.query: {pair.key: 1.0} for pair in found.split("test") if pair.key}
        != {}
    )


def test_pairs_and_triplets_of_a_file_name_their_rows_by_id(draw: Draw, tmp_path: Path) -> None:
    rows = _file_of_pairs(tmp_path, ids=True)
    found = draw(pairs="pairs.jsonl")
    assert found.report["unknown_row"] == 5, "of those that are gone the text is learned from"
    named = {int(pair.query.split()[0][4:]): (pair.key, pair.group) for pair in found.pairs}
    assert all(named[n][0] == (f"[{n}]" if n <= 35 else "") for n in named) and len(named) == 40
    assert all(named[n][1] == str(n + (n > 35) * 1000) for n in named), "what one row answers stays together"
    triplets = [{**row, "positive": row["document"], "negative": "not this"} for row in rows]
    _jsonl(tmp_path / "triplets.jsonl", triplets)
    other = draw(triplets="triplets.jsonl")
    assert other.report["unknown_row"] == 5 and {pair.key for pair in other.pairs} == {key for key, _ in named.values()}
    _jsonl(tmp_path / "pairs.jsonl", [{**rows[0], "id": "x"}])
    with pytest.raises(SourceError, match=r"pairs.jsonl:1: key 'x'; id is bigint, expected a whole number"):
        draw(pairs="pairs.jsonl")


def test_a_pair_stays_in_its_split_whatever_rows_there_are(
    draw: Draw, execute: Execute, name: str, tmp_path: Path
) -> None:
    _file_of_pairs(tmp_path, ids=False)
    first = draw(pairs="pairs.jsonl")
    execute(f"delete from {name} where id <= 20")
    second = draw(pairs="pairs.jsonl")
    assert second.report["unknown_row"] == 30
    assert {pair.query: pair.split for pair in first.pairs} == {pair.query: pair.split for pair in second.pairs}


def test_rows_that_pairs_of_a_file_taught_are_not_asked_for_by_their_words(
    draw: Draw, execute: Execute, declare: Declare, name: str, workspace: Workspace, tmp_path: Path
) -> None:
    execute(f"alter table {name} add column body text")
    _file_of_pairs(tmp_path, ids=False)
    found = draw(pairs="pairs.jsonl")
    nameless = TrainingSet(f"{name} of old", tuple(replace(pair, key="") for pair in found.pairs), {})
    execute(f"update {name} set body = 'some more words of row ' || id")
    collection = declare(fields={"title": "text", "body": "text"}, spaces={
        "text": {"fields": ["title"]}, "more": {"fields": ["body"]},
    })  # fmt: skip
    relation = workspace.raw.relation(collection)
    test = {pair.query.split()[0][4:] for pair in found.split("test")}
    learned = {f"[{n}]" for n in range(1, 31) if str(n) not in test}
    assert learned and len(synthetic_queries(workspace, collection, relation)) == ROWS
    for known in (found, nameless):
        workspace.training_sets.save(name, "text", known.digest, known)
        workspace.checkpoints.save(Checkpoint(known.digest, tmp_path, {"dims": 1}, ()))
        workspace.checkpoints.set_encoder(name, "text", StoredEncoder(known.digest, None, known.digest))
        made = synthetic_queries(workspace, collection, relation)
        assert {key for query in made for key in query.relevant} == {f"[{n}]" for n in range(1, ROWS + 1)} - learned


def _jpeg(image: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def test_a_photo_that_is_stored_twice_is_not_both_learned_and_asked(
    execute: Execute, declare: Declare, name: str, workspace: Workspace
) -> None:
    """Each third picture of train is saved anew, at another quality and size, in a held-out group."""
    photos = [soft_picture(n) for n in range(36)]
    execute(f"create table {name} (id bigint primary key, photo bytea, kind text, side text)")
    rows = [(n, _jpeg(photo, 90), "v" if n % 6 == 0 else "t" if n % 6 == 1 else "a") for n, photo in enumerate(photos)]
    twins = [n for n, _, side in rows if side == "a"][::3]
    smaller = {n: photos[n].resize((100, 100)) for n in twins}
    rows += [(100 + n, _jpeg(smaller[n], 40), "v" if n % 2 else "t") for n in twins]
    rows += [(300, _jpeg(photos[0].convert("L").convert("RGB"), 70), "t"), (400, b"broken", "a")]
    for n, image, side in rows:
        execute(f"insert into {name} values (%s, %s, %s, %s)", (n, image, f"kind {n % 2}", side))

    def drawn(**split: object) -> TrainingSet:
        named = {"by": "side", "validation": ["v"], "test": ["t"], **split}
        train = {"objective": "triplet", "labels": "kind", "split": named}
        space = {"kind": "image", "fields": ["photo"], "encoder": "./vision", "train": train}
        collection = declare(
            fields={"photo": "image", "kind": "category", "side": "category"}, spaces={"photo": space}
        )  # fmt: skip
        return draw_training_set(workspace, collection, "photo", refresh=True).training_set

    found = drawn()
    left = {int(pair.key[1:-1]) for pair in found.pairs}
    assert (found.report["near_duplicate_train"], found.report["near_duplicate_validation"]) == (len(twins), 1)
    assert left == {n for n, _, _ in rows} - {*twins, 0, 400} and len(twins) == 8
    assert found.report["broken_image"] == 1


def test_triplets_are_pairs_with_their_own_negatives(draw: Draw, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"query": f"asks{n} for{n} it", "positive": f"says{n} so{n}", "time": START + timedelta(days=n), "negative": no}
        for n in range(40)
        for no in (f"not{n} this{n}", [f"nor{n} that{n}", f"says{n} so{n}"])
    ]
    _jsonl(tmp_path / "triplets.jsonl", rows)
    found = draw(triplets="triplets.jsonl", split={"by_time": "time", "validation": 0.2, "test": 0.2})
    assert (found.report["rows"], found.report["duplicate"], found.report["negative_is_answer"]) == (80, 40, 40)
    for pair in found.pairs:
        number = pair.query.split()[0].removeprefix("asks")
        assert pair.group == pair.query
        assert set(pair.negatives) == {f"not{number} this{number}", f"nor{number} that{number}"}
    assert {pair.query.split()[0] for pair in found.split("test")} == {f"asks{n}" for n in range(32, 40)}
    _jsonl(tmp_path / "triplets.jsonl", [*rows, {"query": "q", "positive": "p", "negative": "n"}])
    with pytest.raises(SourceError, match=r"triplets.jsonl:81: time is missing; split.by_time needs one in every line"):
        draw(triplets="triplets.jsonl", split={"by_time": "time"})


def test_a_snapshot_without_negatives_is_read_as_it_was(workspace: Workspace, execute: Execute, name: str) -> None:
    """Rows as they stood before pairs had negatives and weights: the columns have defaults."""
    digest = f"{name} of old"
    execute("insert into ops.training_sets (digest, report) values (%s, '{\"train\": 1}')", (digest,))
    execute(
        "insert into ops.training_pairs (training_set, item, query, document, pair_group, split, row_key) "
        "values (%s, 0, 'q', 'd', 'g', 'train', '[1]')", (digest,)
    )  # fmt: skip
    found = workspace.training_sets.get(digest)
    assert (found.pairs[0].negatives, found.pairs[0].weight, found.report) == ((), 1.0, {"train": 1})

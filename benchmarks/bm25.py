"""BM25 in Postgres against bm25s in memory: the same rankings, how long a question takes, what an index costs.

SciFact (BEIR layout: corpus.jsonl.gz, queries.jsonl.gz, qrels_test.tsv.gz) is loaded into a table in place. First,
nDCG@10 of its judged questions by several analysers, ours and bm25s over the words that ours cut. Then its documents
are repeated, each time with a third of the words dropped and a third of another document's added, until there are
--rows of them: seconds and bytes of the index, seconds after 1 % changed, and milliseconds of --questions real
questions, asked of Postgres and of bm25s in turn (and of one plain aggregate over the same postings, without pruning).

    python benchmarks/bm25.py --data /path/to/scifact --rows 100000 --json bm25.json

A home of its own keeps the server apart from the project's; it is made in --work and removed, or kept with --keep.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import bm25s
import numpy as np
import psycopg
from psycopg import sql

from vector_assets.metrics import evaluate
from vector_assets.records import JudgedQuery
from vector_assets.runtime.postgres import remove_postgres
from vector_assets.source.judged import read_judged
from vector_assets.spec import Collection
from vector_assets.stores.lexical.estimating import time_words
from vector_assets.stores.lexical.index import LexicalIndex
from vector_assets.stores.search_sql.bm25 import compose_bm25
from vector_assets.stores.workspace import Workspace, open_workspace

#: What each line of the quality table changes.
ANALYSERS: dict[str, dict[str, object]] = {
    "english, title and text": {},
    "english, k1 0.9 b 0.4 (Anserini's)": {"k1": 0.9, "b": 0.4},
    "english, k1 1.5 b 0.75 (bm25s' own)": {"k1": 1.5},
    "english with stop words": {"stop_words": False},
    "no stemming, no stop words left out": {"language": "none"},
    "english, text only": {"fields": ["text"]},
}
ROUNDS = 3
PLAIN = (
    "select (f.p >> 32)::integer, sum(f.w * (f.p & 4095) / ((f.p & 4095) + %(flat)s + %(steep)s * "
    "((f.p >> 12) & 1048575))) from (select a.w, unnest(p.postings) as p from unnest(%(terms)s::bigint[], "
    "%(weights)s::float8[]) a (t, w) join {} p on p.term = a.t) f group by 1 order by 2 desc limit 10"
)


class Words:
    """A table in place, the index of its words, and bm25s over the same words."""

    def __init__(self, workspace: Workspace, table: str, kind: str, **lexical: object) -> None:
        """``kind`` is the type of the key."""
        self.workspace, self.table, self.kind = workspace, table, kind
        self.collection = Collection.model_validate(
            {
                "name": table,
                "source": {"kind": "postgres", "table": table},
                "fields": {"title": "text", "text": "text"},
                "spaces": {"text": {"fields": ["title", "text"]}},
                "lexical": {"fields": ["title", "text"]} | lexical,
            }
        )
        assert self.collection.lexical
        self.lexical = self.collection.lexical
        self.index = LexicalIndex.declared(table, self.lexical, workspace.database.names)

    def sync(self) -> float:
        """Make the index equal to the table; return the seconds."""
        relation = self.workspace.raw.relation(self.collection)
        report = self.workspace.lexical.sync(self.table, self.lexical, relation)
        return report.seconds

    def function(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        """Make the function that search would use."""
        relation = self.workspace.raw.relation(self.collection)
        name, path = sql.Identifier("pg_temp", "asked"), sql.SQL("pg_catalog, pg_temp")
        made = compose_bm25(name, self.index, relation, self.lexical, guard=sql.SQL(""), path=path, condition=None)
        connection.execute(made)

    def cut(self, connection: psycopg.Connection[tuple[object, ...]], text: str) -> list[str]:
        """The words of a question."""
        query = sql.SQL("select {}(%s)").format(self.index.words)
        row = connection.execute(query, (text,)).fetchone()
        return list(row[0])  # type: ignore[index, call-overload]

    def in_memory(self, connection: psycopg.Connection[tuple[object, ...]]) -> tuple[list[str], InMemory]:
        """The keys, and bm25s over the words that Postgres cuts."""
        names = sql.SQL(", ").join(map(sql.Identifier, self.lexical.fields))
        query = sql.SQL("select id::text, {}(concat_ws(E'\\n', {})) from {} order by id").format(
            self.index.words, names, sql.Identifier(self.table)
        )
        rows = connection.execute(query).fetchall()
        return [str(key) for key, _ in rows], InMemory(
            [list(each) for _, each in rows], self.lexical.k1, self.lexical.b
        )


class InMemory:
    """bm25s."""

    def __init__(self, words: list[list[str]], k1: float, b: float) -> None:
        known = {word: number for number, word in enumerate(sorted({word for each in words for word in each}))}
        self.known = known
        self.engine = bm25s.BM25(method="lucene", k1=k1, b=b, csc_backend="scipy")
        self.engine.index(([[known[word] for word in each] for each in words], known), show_progress=False)

    def best(self, words: Sequence[str], k: int) -> list[int]:
        """Places of the k best rows."""
        asked = [self.known[word] for word in words if word in self.known]
        if not asked:
            return []
        scores = self.engine.get_scores_from_ids(asked)
        places = np.argpartition(scores, -k)[-k:]
        return sorted((int(p) for p in places if scores[p] > 0), key=lambda p: (-scores[p], p))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of SciFact")
    parser.add_argument("--work", type=Path, default=None, help="folder for the home; a temporary one when left out")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--keep", action="store_true", help="keep the home, and use what is in it")
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bm25-") as temporary:
        home = (arguments.work or Path(temporary)) / "home"
        os.environ["VECTOR_ASSETS_HOME"] = str(home)
        workspace = open_workspace()
        try:
            found = {
                "quality": quality(workspace, arguments.data),
                "speed": speed(workspace, arguments.data, arguments.rows, arguments.questions),
            }
        finally:
            if not arguments.keep:
                remove_postgres(home)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


def quality(workspace: Workspace, data: Path) -> dict[str, dict[str, float]]:
    """NDCG@10 of SciFact's judged questions, ours and bm25s over the same words."""
    load(workspace, "scifact", "text", ((str(each["_id"]), each["title"], each["text"]) for each in documents(data)))
    found = {}
    for name, lexical in ANALYSERS.items():
        words = Words(workspace, "scifact", "text", **lexical)
        words.sync()
        relation = workspace.raw.relation(words.collection)
        judged = read_judged(str(data / "queries.jsonl.gz"), str(data / "qrels_test.tsv.gz"), relation.key)
        with workspace.database.connect() as connection:
            words.function(connection)
            keys, memory = words.in_memory(connection)
            ours = {query.id: asked(connection, query, 100) for query in judged}
            theirs = {
                query.id: [json.dumps([keys[p]]) for p in memory.best(words.cut(connection, str(query.text)), 100)]
                for query in judged
            }
        found[name] = {"ours": evaluate(ours, judged)["ndcg@10"], "bm25s": evaluate(theirs, judged)["ndcg@10"]}
        print(f"{name:40} nDCG@10 {found[name]['ours']:.4f}, bm25s {found[name]['bm25s']:.4f}", flush=True)
    return found


def asked(connection: psycopg.Connection[tuple[object, ...]], query: JudgedQuery, k: int) -> list[str]:
    """The row keys that our function returns."""
    rows = connection.execute("select * from pg_temp.asked(%s, %s)", (str(query.text), k)).fetchall()
    return [json.dumps([str(row[0])]) for row in rows]


def speed(workspace: Workspace, data: Path, rows: int, questions: int) -> dict[str, float]:
    """Seconds and bytes of the index, and milliseconds of a question."""
    load(workspace, "repeated", "bigint", repeated(list(documents(data)), rows))
    words = Words(workspace, "repeated", "bigint")
    workspace.raw.observe(words.collection)
    with workspace.database.connect() as connection:
        sample = connection.execute("select title, text from repeated order by md5(id::text) limit 1024").fetchall()
    planned = time_words(
        workspace.database, words.lexical, [{"title": str(title), "text": str(text)} for title, text in sample]
    )
    numbers = {
        "rows": rows, "planned_seconds": rows * planned.seconds, "planned_bytes": rows * planned.row_bytes,
        "build_seconds": words.sync(), "nothing_seconds": words.sync(),
    }  # fmt: skip
    with workspace.database.connect(autocommit=True) as connection:
        connection.execute("update repeated set text = text || ' changed' where id % 100 = 7")
    numbers["changed_1_percent_seconds"] = words.sync()
    with gzip.open(data / "queries.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    texts = random.Random(3).sample(texts, questions)
    with workspace.database.connect(autocommit=True) as connection:
        for name, table in (("postings", words.index.postings), ("rows", words.index.rows)):
            size = sql.SQL("select pg_total_relation_size({}::regclass)").format(sql.Literal(table.as_string(None)))
            numbers[f"{name}_bytes"] = connection.execute(size).fetchone()[0]  # type: ignore[index]
        size = sql.SQL("select pg_table_size('repeated')")
        numbers["table_bytes"] = connection.execute(size).fetchone()[0]  # type: ignore[index]
        words.function(connection)
        _, memory = words.in_memory(connection)
        for kind, each in timed(connection, words, memory, texts).items():
            numbers |= {
                f"{kind}_p50_ms": statistics.median(each),
                f"{kind}_p99_ms": float(np.percentile(each, 99)),
                f"{kind}_max_ms": max(each),
            }
    for name, number in numbers.items():
        print(f"{name:40} {number:,.1f}", flush=True)
    return numbers


def timed(
    connection: psycopg.Connection[tuple[object, ...]], words: Words, memory: InMemory, texts: Sequence[str]
) -> dict[str, list[float]]:
    """Milliseconds of each question: ours, bm25s (its words cut before), and one aggregate over the same postings.

    Each is asked in ROUNDS, all kinds in turn; its time is the median of them: what a question takes, not what else the
    machine did.
    """
    rounds = [
        _round(connection, words, memory, [*texts[:20], *texts] if first == 0 else texts) for first in range(ROUNDS)
    ]
    each = [{kind: taken[-len(texts) :] for kind, taken in one.items()} for one in rounds]  # the first are to warm up
    return {kind: np.median([one[kind] for one in each], axis=0).tolist() for kind in each[0]}


def _round(
    connection: psycopg.Connection[tuple[object, ...]], words: Words, memory: InMemory, texts: Sequence[str]
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"ours": [], "bm25s": [], "plain": []}
    plain = sql.SQL(PLAIN).format(words.index.postings)
    for text in texts:
        started = time.perf_counter()
        connection.execute("select * from pg_temp.asked(%s, 10)", (text,)).fetchall()
        found["ours"].append(1000 * (time.perf_counter() - started))
        cut = words.cut(connection, text)
        started = time.perf_counter()
        memory.best(cut, 10)
        found["bm25s"].append(1000 * (time.perf_counter() - started))
        weighed = connection.execute(
            sql.SQL(
                "select coalesce(array_agg(term), '{{}}'), coalesce(array_agg(ln(1 + 100000.0 / held)), '{{}}') from "
                "(select p.term, sum(p.n) as held from {} p join unnest(%s::text[]) w (word) on p.term = "
                'hashtextextended(w.word collate "C", 0) group by 1) s'
            ).format(words.index.postings),
            (cut,),
        ).fetchone()
        assert weighed
        values = {"flat": 0.3, "steep": 0.006, "terms": weighed[0], "weights": weighed[1]}
        started = time.perf_counter()
        connection.execute(plain, values).fetchall()
        found["plain"].append(1000 * (time.perf_counter() - started))
    return found


def documents(data: Path) -> Iterator[dict[str, str]]:
    """SciFact's abstracts."""
    with gzip.open(data / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def repeated(found: Sequence[dict[str, str]], rows: int) -> Iterator[tuple[int, str, str]]:
    """The documents over and over, from the second time on mixed with others."""
    draw = random.Random(1)
    for number in range(rows):
        own = found[number % len(found)]
        text = own["text"]
        if number >= len(found):
            other = draw.choice(found)["text"].split()
            kept = [word for word in text.split() if draw.random() < 0.67]
            text = " ".join([*kept, *(word for word in other if draw.random() < 0.33)])
        yield number, own["title"], text


def load(workspace: Workspace, table: str, kind: str, rows: Iterator[tuple[object, str, str]]) -> None:
    """Make a table, where it is not there."""
    with workspace.database.connect() as connection:
        if connection.execute("select to_regclass(%s)", (table,)).fetchone() != (None,):
            return
        name = sql.Identifier(table)
        connection.execute(
            sql.SQL("create table {} (id {} primary key, title text, text text)").format(name, sql.SQL(kind))
        )
        with connection.cursor() as cursor, cursor.copy(sql.SQL("copy {} from stdin").format(name)) as copy:
            for row in rows:
                copy.write_row(row)
        connection.execute(sql.SQL("analyze {}").format(name))


if __name__ == "__main__":
    main()

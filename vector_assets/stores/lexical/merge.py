"""Folding what pages appended: fewer rows per word, and postings that were taken away are gone."""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database
from vector_assets.stores.lexical.index import LexicalIndex

#: Rows with as many postings are worth reading by themselves; only smaller ones are folded.
WHOLE = 128
#: Pages that may be appended before the small rows are folded.
PAGES = 32
#: Share of postings that may be taken away, but still there, before all are folded.
TAKEN = 0.2

# The last posting of a row that was taken away equals the first one that brought it: together they are nothing.
# One statement: who asks meanwhile sees all as it was, or as it is.
_FOLD: LiteralString = (
    "with many as materialized (select term, {all} and bool_or(n < 0) as wholly from {postings} "
    "group by term having count(*) filter (where abs(n) < {whole}) > 1 or ({all} and bool_or(n < 0))), "
    "folded as (delete from {postings} p using many m where p.term = m.term and (m.wholly or abs(p.n) < {whole}) "
    "returning p.term, p.n, p.postings), "
    "each as (select f.term, u.posting, sum(sign(f.n)) as times from folded f "
    "cross join lateral unnest(f.postings) u (posting) group by f.term, u.posting having sum(sign(f.n)) <> 0) "
    "insert into {postings} (term, n, postings) "
    "select e.term, e.times * count(*), array_agg(e.posting order by e.posting) from each e group by e.term, e.times"
)


def merge_due(database: Database, connection: Connection, index: LexicalIndex) -> bool:
    """Tell whether so many pages were appended that reading them one by one costs."""
    row = connection.execute(
        database.compose("select count(*) from {ops}.bm25_deltas where collection = %s and analyser = %s"),
        (index.collection, index.analyser),
    ).fetchone()
    return row is not None and int(str(row[0])) > PAGES


def merge(database: Database, connection: Connection, index: LexicalIndex, *, all_of_it: bool = False) -> None:
    """Fold small rows; all of a word's rows where many of the postings were taken away, or ``all_of_it``.

    ``connection`` is in autocommit and holds the index's lock.
    """
    with connection.transaction():
        connection.execute("set local work_mem = '256MB'")
        row = connection.execute(
            sql.SQL(
                "select coalesce(sum(-n) filter (where n < 0), 0) > {} * coalesce(sum(n) filter (where n > 0), 0) "
                "from {}"
            ).format(sql.Literal(TAKEN), index.postings)
        ).fetchone()
        assert row is not None
        connection.execute(
            sql.SQL(_FOLD).format(
                all=sql.Literal(all_of_it or bool(row[0])), postings=index.postings, whole=sql.Literal(WHOLE)
            )
        )
        connection.execute(
            database.compose(
                "with folded as (delete from {ops}.bm25_deltas where collection = {c} and analyser = {a} "
                "returning documents, words) insert into {ops}.bm25_deltas (collection, analyser, documents, words) "
                "select {c}, {a}, coalesce(sum(documents), 0), coalesce(sum(words), 0) from folded",
                c=sql.Literal(index.collection),
                a=sql.Literal(index.analyser),
            )
        )
    connection.execute(sql.SQL("vacuum (analyze) {}").format(index.postings))

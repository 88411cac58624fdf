"""One index of words being made equal to its source: the difference rule, in SQL, page by page."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from vector_assets.spec import Lexical
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database
from vector_assets.stores.difference import DifferenceStore
from vector_assets.stores.lexical.index import MOST_TIMES, MOST_WORDS, LexicalIndex, indexes_of
from vector_assets.stores.lexical.merge import merge, merge_due
from vector_assets.stores.lexical.words import Words, words_of
from vector_assets.stores.relation import Relation

PAGE = 2048  # rows cut and written by one transaction

# Rows are read anew, so that a digest is that of the words beside it; what changes later is the next sync's.
_CUT: LiteralString = (
    "insert into pg_temp.bm25_page select {named}, {digest}, nextval({numbers}), {cut} "
    "from pg_temp.work w join {source} r on {same} where w.n between {first} and {last}"
)
# Each word of a page is stemmed once.
_COUNT: LiteralString = (
    "insert into pg_temp.bm25_words "
    "with c as materialized (select p.doc, c.word, count(*) as times from pg_temp.bm25_page p "
    "cross join lateral unnest(p.words) c (word) where c.word <> '' group by 1, 2), "
    "s as materialized (select w.word, {stem} as stem from (select distinct c.word from c) w) "
    'select c.doc, hashtextextended(s.stem collate "C", 0), least(sum(c.times), {most}) '
    "from c join s on s.word = c.word where s.stem is not null group by 1, 2"
)
# What a page brings and what it takes away: postings of the new versions, negative ones of the old, and the totals.
_STORE: LiteralString = (
    "with counted as materialized (select t.doc, least(sum(t.times), {most}) as length, "
    "array_agg(t.term order by t.term) as terms, array_agg(t.times::smallint order by t.term) as times "
    "from pg_temp.bm25_words t group by t.doc), "
    "before as materialized (select g.* from {rows} g join pg_temp.bm25_page p on {gp}), "
    "put as (insert into {postings} (term, n, postings) select t.term, count(*), "
    "array_agg((t.doc::bigint << 32) | (c.length << 12) | t.times order by t.doc) "
    "from pg_temp.bm25_words t join counted c on c.doc = t.doc group by t.term), "
    "taken as ({taken}), "
    "stored as (insert into {rows} ({keys}, row_digest, doc, length, terms, times) "
    "select {pkeys}, p.row_digest, p.doc, coalesce(c.length, 0), coalesce(c.terms, '{{}}'), coalesce(c.times, '{{}}') "
    "from pg_temp.bm25_page p left join counted c on c.doc = p.doc on conflict ({keys}) do update set "
    "row_digest = excluded.row_digest, doc = excluded.doc, length = excluded.length, terms = excluded.terms, "
    "times = excluded.times), "
    "summed as (insert into {deltas} (collection, analyser, documents, words) select {collection}, {analyser}, "
    "(select count(*) from pg_temp.bm25_page) - (select count(*) from before), "
    "(select coalesce(sum(length), 0) from counted) - (select coalesce(sum(length), 0) from before)) "
    "select (select count(*) from pg_temp.bm25_page)"
)
_TAKEN: LiteralString = (
    "insert into {postings} (term, n, postings) select t.term, -count(*), "
    "array_agg((b.doc::bigint << 32) | (b.length::bigint << 12) | t.times order by b.doc) "
    "from before b cross join lateral unnest(b.terms, b.times) t (term, times) group by t.term"
)
# A row that came back since the list was made stays; the change that brought it is read by the next sync.
_GONE: LiteralString = (
    "with before as (delete from {rows} g using pg_temp.gone w where {gw} "
    "and not exists (select from {source} r where {rg}) returning g.*), "
    "taken as ({taken}), "
    "summed as (insert into {deltas} (collection, analyser, documents, words) select {collection}, {analyser}, "
    "-count(*), -coalesce(sum(b.length), 0) from before b) "
    "select count(*) from before"
)


@dataclass(frozen=True, slots=True)
class LexicalReport:
    """What one sync did. ``rows`` are those the index holds after it."""

    rows: int = 0
    added: int = 0  # rows whose words are new or other than before
    removed: int = 0  # rows that left the source
    seconds: float = 0.0
    completed: bool = False  # it holds every row since this sync, and what it takes over from may go

    def then(self, later: LexicalReport) -> LexicalReport:
        """What this sync and a later one did together."""
        return LexicalReport(
            later.rows, self.added + later.added, self.removed + later.removed, self.seconds + later.seconds,
            self.completed or later.completed,
        )  # fmt: skip


class LexicalStore:
    """Makes, syncs, merges and drops the indexes of words."""

    page = PAGE

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database
        self.differences = DifferenceStore(database)

    def sync(self, collection: str, lexical: Lexical, relation: Relation, *, whole: bool = False) -> LexicalReport:
        """Make the declared index equal to its source, alone: a second sync waits for the first to end.

        A page is one transaction; what was killed goes on with the rows that still differ.
        """
        started = time.perf_counter()
        index = LexicalIndex.declared(collection, lexical, self.database.names)
        with self.database.connect(autocommit=True) as connection:
            self._lock(connection, index)
            with connection.transaction():
                index.create(self.database, connection, relation)
            found = self.differences.list(
                connection, collection, index.reader, relation, rows=index.rows, fields=index.fields, whole=whole
            )
            removed = self._remove(connection, index, relation) if found.gone else 0
            added = self.add(connection, index, relation, found.work) if found.work else 0
            with connection.transaction():
                self.differences.cursors.move(connection, collection, index.reader, found.cursor)
                completed = connection.execute(
                    self.database.compose(
                        "update {ops}.bm25_indexes set complete_at = clock_timestamp() "
                        "where collection = %s and analyser = %s and complete_at is null"
                    ),
                    (collection, index.analyser),
                ).rowcount
                others = indexes_of(self.database, connection, collection).keys() - {index}
            if merge_due(self.database, connection, index):
                merge(self.database, connection, index)
            rows = self._rows(connection, index)
        return LexicalReport(rows, added, removed, time.perf_counter() - started, bool(completed or others))

    def maintain(self, collection: str, lexical: Lexical) -> None:
        """Fold everything that was appended, and remove dead tuples."""
        index = LexicalIndex.declared(collection, lexical, self.database.names)
        with self.database.connect(autocommit=True) as connection:
            self._lock(connection, index)
            if index in indexes_of(self.database, connection, collection):
                merge(self.database, connection, index, all_of_it=True)
                connection.execute(sql.SQL("vacuum (analyze) {}").format(index.rows))

    def there(self, collection: str) -> bool:
        """Tell whether a collection has any index of words."""
        with self.database.connect() as connection:
            return bool(indexes_of(self.database, connection, collection))

    def drop_others(self, collection: str, lexical: Lexical | None) -> tuple[str, ...]:
        """Drop indexes that are not declared any more; return their analysers. No function may ask them then."""
        declared = LexicalIndex.declared(collection, lexical, self.database.names) if lexical else None
        with self.database.connect() as connection:
            others = [index for index in indexes_of(self.database, connection, collection) if index != declared]
            for index in others:
                index.drop(self.database, connection)
        return tuple(index.analyser for index in others)

    def _lock(self, connection: Connection, index: LexicalIndex) -> None:
        connection.execute(
            "select pg_advisory_lock(hashtextextended(%s, 2))", (f"bm25/{index.collection}/{index.analyser}",)
        )

    def add(self, connection: Connection, index: LexicalIndex, relation: Relation, work: int) -> int:
        """Cut, count and store the rows that ``pg_temp.work`` lists, in pages; return how many were there."""
        with connection.transaction():
            words = words_of(self.database, connection, index.language, stop_words=index.stop_words)
        connection.execute(
            sql.SQL(
                "create temp table bm25_page ({}, row_digest bytea, doc integer, words text[])"
            ).format(relation.key_definition())
        )  # fmt: skip
        connection.execute("create temp table bm25_words (doc integer, term bigint, times integer)")
        added = 0
        for first in range(1, work + 1, self.page):
            cut = self._cut(index, relation, words, first, first + self.page - 1)
            with connection.transaction():
                connection.execute("truncate pg_temp.bm25_page, pg_temp.bm25_words")
                connection.execute(cut)
                connection.execute("analyze pg_temp.bm25_page")
                connection.execute(
                    sql.SQL(_COUNT).format(stem=words.stem(sql.SQL("w.word")), most=sql.Literal(MOST_TIMES))
                )
                connection.execute("analyze pg_temp.bm25_words")
                row = connection.execute(self._fill(_STORE, index, relation), prepare=False).fetchone()
            assert row is not None
            added += int(str(row[0]))
        return added

    def _remove(self, connection: Connection, index: LexicalIndex, relation: Relation) -> int:
        row = connection.execute(self._fill(_GONE, index, relation)).fetchone()
        assert row is not None
        return int(str(row[0]))

    def _cut(self, index: LexicalIndex, relation: Relation, words: Words, first: int, last: int) -> sql.Composed:
        text = sql.SQL("concat_ws(E'\\n', {})").format(
            sql.SQL(", ").join(sql.Identifier("r", name) for name in index.fields)
        )
        return sql.SQL(_CUT).format(
            named=relation.as_stored("r"),
            digest=relation.digest(index.fields, "r"),
            numbers=sql.Literal(index.numbers.as_string(None)),
            cut=words.cut(text),
            source=relation.table,
            same=relation.same("r", "w"),
            first=sql.Literal(first),
            last=sql.Literal(last),
        )

    def _fill(self, statement: LiteralString, index: LexicalIndex, relation: Relation) -> sql.Composed:
        return sql.SQL(statement).format(
            taken=sql.SQL(_TAKEN).format(postings=index.postings),
            rows=index.rows,
            postings=index.postings,
            deltas=self.database.names.table("ops", "bm25_deltas"),
            collection=sql.Literal(index.collection),
            analyser=sql.Literal(index.analyser),
            most=sql.Literal(MOST_WORDS),
            keys=sql.SQL(", ").join(map(sql.Identifier, relation.key_names)),
            pkeys=relation.stored_key("p"),
            gp=relation.same_stored("g", "p"),
            gw=relation.same_stored("w", "g"),
            rg=relation.same("r", "g"),
            source=relation.table,
        )

    def _rows(self, connection: Connection, index: LexicalIndex) -> int:
        row = connection.execute(
            self.database.compose(
                "select coalesce(sum(documents), 0) from {ops}.bm25_deltas where collection = %s and analyser = %s"
            ),
            (index.collection, index.analyser),
        ).fetchone()
        assert row is not None
        return int(str(row[0]))

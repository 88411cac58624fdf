"""An index of words: what it is called, how its tables look, how they are made and go.

``embedding.<c>_bm25_<analyser>`` holds postings, one row per word and page that brought it, or took it away (``n`` is
then below zero). A posting is one bigint: the row's number above, its length in words (20 bits) and how often the word
stands in it (12 bits) below. Beside three arrays, a rare word's row takes 53 bytes in place of 97, a million
postings take 8 MB in place of 10, and both are unnested in the same time (measured).
``embedding.<c>_bm25_<analyser>_rows`` holds what each row was counted as, which is what takes it away again;
its words are in ascending order, so that one is found in it by halving.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from vector_assets.spec import Lexical
from vector_assets.stores.connections import Connection
from vector_assets.stores.cursors import CursorStore
from vector_assets.stores.database import Database, Names
from vector_assets.stores.lexical.words import Words, words_of
from vector_assets.stores.relation import Relation

#: Another number makes other indexes: it stands for how words are cut and what the tables look like.
CODE_VERSION = 3
#: The longest text and the most of one word that are told apart; what is beyond counts as this.
MOST_WORDS, MOST_TIMES = 2**20 - 1, 2**12 - 1


@dataclass(frozen=True, slots=True)
class LexicalIndex:
    """One collection's words by one analyser."""

    collection: str
    analyser: str
    fields: tuple[str, ...]
    language: str
    stop_words: bool
    names: Names

    @classmethod
    def declared(cls, collection: str, lexical: Lexical, names: Names) -> LexicalIndex:
        """The index that a declaration asks for. k1 and b are of the question, not of the index."""
        digest = _analyser(lexical.fields, lexical.language, lexical.stop_words)
        return cls(collection, digest, tuple(lexical.fields), lexical.language, lexical.stop_words, names)

    @property
    def of_this_code(self) -> bool:
        """Tell whether its tables are laid out as this code reads them."""
        return self.analyser == _analyser(self.fields, self.language, self.stop_words)

    @property
    def name(self) -> str:
        """The postings' table, without its schema."""
        return f"{self.collection}_bm25_{self.analyser}"

    @property
    def reader(self) -> str:
        """Whose cursor it has in the source's changes."""
        return f"bm25:{self.analyser}"

    @property
    def postings(self) -> sql.Identifier:
        """The table of postings."""
        return self.names.table("embedding", self.name)

    @property
    def rows(self) -> sql.Identifier:
        """The table with one row per source row."""
        return self.names.table("embedding", self.name + "_rows")

    @property
    def numbers(self) -> sql.Identifier:
        """The sequence that numbers each version of a row."""
        return self.names.table("embedding", self.name + "_numbers")

    @property
    def words(self) -> sql.Identifier:
        """The function that cuts a question."""
        return self.names.table("embedding", self.name + "_words")

    def create(self, database: Database, connection: Connection, relation: Relation) -> None:
        """Make the tables and record them; they are made anew where the key is another, or words are cut otherwise.

        The second follows an upgrade of the server, whose tables of letters are others then.
        """
        wanted = [(name, column.type) for name, column in zip(relation.key_names, relation.key, strict=True)]
        there = connection.execute(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = to_regclass(%s) "
            "and attnum > 0 and not attisdropped and attname ~ '^k[0-9]+$' order by attnum",
            (self.rows.as_string(None),),
        ).fetchall()
        words = words_of(database, connection, self.language, stop_words=self.stop_words)
        if there == wanted and self._cuts(connection, words):
            return
        self.drop(database, connection)
        keys = sql.SQL(", ").join(map(sql.Identifier, relation.key_names))
        for statement in (
            # Numbers start below zero: there are 2^32 of them before an index has to be made anew.
            "create sequence {numbers} as integer minvalue -2147483648 start -2147483648",
            "create table {postings} (term bigint not null, n integer not null check (n <> 0), "
            "postings bigint[] not null)",
            "create table {rows} ({key}, row_digest bytea not null, doc integer not null, length integer not null, "
            "terms bigint[] not null, times smallint[] not null, primary key ({keys}))",
            # Compressing would cost more than it saves; what fits into a page of 8 KB stays with its row.
            "alter table {postings} alter postings set storage external, set (toast_tuple_target = 8160)",
            "alter table {rows} alter terms set storage external, alter times set storage external, "
            "set (toast_tuple_target = 8160)",
            "create index on {postings} (term)",
            "create unique index on {rows} (doc)",
        ):
            connection.execute(
                sql.SQL(statement).format(
                    numbers=self.numbers, postings=self.postings, rows=self.rows, keys=keys,
                    key=relation.key_definition(),
                )
            )  # fmt: skip
        connection.execute(words.function(self.words))
        connection.execute(
            database.compose(
                "insert into {ops}.bm25_indexes (collection, analyser, fields, language, stop_words) "
                "values (%s, %s, %s, %s, %s)"
            ),
            (self.collection, self.analyser, list(self.fields), self.language, self.stop_words),
        )

    def _cuts(self, connection: Connection, words: Words) -> bool:
        """Tell whether the function that cuts questions is what rows would be cut by now."""
        row = connection.execute(
            "select prosrc from pg_proc where oid = to_regprocedure(%s)", (self.words.as_string(None) + "(text)",)
        ).fetchone()
        return row is not None and row[0] == words.body().as_string(None)

    def drop(self, database: Database, connection: Connection) -> None:
        """Drop the tables, and what is known of them."""
        for statement in (
            "drop table if exists {postings}, {rows}",
            "drop sequence if exists {numbers}",
            "drop function if exists {words}(text)",
        ):
            connection.execute(
                sql.SQL(statement).format(
                    postings=self.postings, rows=self.rows, numbers=self.numbers, words=self.words
                )
            )
        connection.execute(
            database.compose("delete from {ops}.bm25_indexes where collection = %s and analyser = %s"),
            (self.collection, self.analyser),
        )
        CursorStore(database).forget(connection, self.collection, self.reader)


def indexes_of(database: Database, connection: Connection, collection: str) -> dict[LexicalIndex, bool]:
    """The indexes that a collection has, the last made first, and whether each has held every row."""
    rows = connection.execute(
        database.compose(
            "select analyser, fields, language, stop_words, complete_at is not null from {ops}.bm25_indexes "
            "where collection = %s order by made_at desc"
        ),
        (collection,),
    ).fetchall()
    return {
        LexicalIndex(
            collection, str(analyser), tuple(fields), str(language), bool(stop_words), database.names  # type: ignore[arg-type]
        ): bool(complete)
        for analyser, fields, language, stop_words, complete in rows
    }  # fmt: skip


def standing(database: Database, connection: Connection, collection: str, lexical: Lexical) -> LexicalIndex | None:
    """The declared index where its tables are there, complete or not."""
    declared = LexicalIndex.declared(collection, lexical, database.names)
    return declared if declared in indexes_of(database, connection, collection) else None


def serving(database: Database, connection: Connection, collection: str, lexical: Lexical) -> LexicalIndex | None:
    """The index that questions are answered from: the declared one once it is complete, until then the one before.

    One that an older version of this code laid out is not asked by what this version composes: what was composed then
    asks it until the views are made anew, which the sync that completes the new one does.
    """
    declared = LexicalIndex.declared(collection, lexical, database.names)
    indexes = indexes_of(database, connection, collection)
    complete = [index for index, done in indexes.items() if done and index.of_this_code]
    return declared if declared in complete else next(iter(complete), None)


def _analyser(fields: Sequence[str], language: str, stop_words: bool) -> str:
    analyser = [CODE_VERSION, list(fields), language, stop_words]
    return hashlib.sha256(json.dumps(analyser).encode()).hexdigest()[:8]

"""How a text is cut into words, in SQL: rows and questions alike, so that nobody needs Python to ask."""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from vector_assets.errors import DatabaseError
from vector_assets.index.lexical import MARKS
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database

# The scripts in which no spaces stand between words: each character is one. As in index/lexical.py.
_SINGLE: LiteralString = r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
# Small letters, everything but letters and digits a border, then cut. A part may be empty at either end.
_CUT: LiteralString = "string_to_array(regexp_replace(lower(({composed}){collation}), {border}, ' ', 'g'), ' ')"
# A letter and its accent are one character, whichever way they were typed.
_COMPOSED: LiteralString = (
    "case when octet_length({0}) > length({0}) "
    "then regexp_replace(normalize({0}, NFC), {each}, ' \\1 ', 'g') else {0} end"
)


class Words:
    """Composes what cuts texts for one analyser."""

    def __init__(self, dictionary: sql.Identifier | None, collation: sql.Composable) -> None:
        """``dictionary`` stems and knows stop words; None takes words as they are."""
        self._dictionary = dictionary
        self._collation = collation

    def cut(self, text: sql.Composable) -> sql.Composed:
        """SQL for the words of a text, as text[]; some may be empty. ``text`` is named several times."""
        composed = sql.SQL(_COMPOSED).format(text, each=sql.Literal(f"({_SINGLE})"))
        border = sql.Literal(f"[^[:alnum:]{MARKS}]+")
        return sql.SQL(_CUT).format(composed=composed, border=border, collation=self._collation)

    def stem(self, word: sql.Composable) -> sql.Composed:
        """SQL for what a word is counted as; null for a stop word."""
        if self._dictionary is None:
            return sql.SQL("{}").format(word)
        return sql.SQL("(ts_lexize({}, {}))[1]").format(sql.Literal(self._dictionary.as_string(None)), word)

    def body(self) -> sql.Composed:
        """SQL for the words of a question, $1, as they are counted."""
        return sql.SQL(
            "select coalesce(array_agg(s.stem order by s.place), '{{}}') from "
            "(select {stem} as stem, c.place from unnest({cut}) with ordinality c (word, place) where c.word <> '') s "
            "where s.stem is not null"
        ).format(stem=self.stem(sql.SQL("c.word")), cut=self.cut(sql.SQL("$1")))

    def function(self, name: sql.Identifier) -> sql.Composed:
        """SQL that makes ``name(text) returns text[]``: the words of a question as they are counted."""
        return sql.SQL(
            "create or replace function {}(text) returns text[] language sql stable strict parallel safe "
            "set search_path = pg_catalog, pg_temp as {}"
        ).format(name, sql.Literal(self.body().as_string(None)))


def words_of(database: Database, connection: Connection, language: str, *, stop_words: bool) -> Words:
    """Return what cuts texts of a language; makes the dictionary without stop words where that is asked for."""
    return Words(_dictionary(database, connection, language, stop_words=stop_words), _collation(connection))


def _dictionary(
    database: Database, connection: Connection, language: str, *, stop_words: bool
) -> sql.Identifier | None:
    if language == "none":
        return None
    shipped = f"{language}_stem"
    found = connection.execute(
        "select from pg_ts_dict d join pg_namespace n on n.oid = d.dictnamespace "
        "where n.nspname = 'pg_catalog' and d.dictname = %s",
        (shipped,),
    ).fetchone()
    if found is None:
        raise DatabaseError(
            f"lexical.language: this server has no dictionary {shipped} (table pg_ts_dict); "
            "expected another language, or none"
        )
    if stop_words:
        return sql.Identifier("pg_catalog", shipped)
    own = database.names.table("embedding", f"{language}_all_words")
    made = connection.execute(
        "select from pg_ts_dict d join pg_namespace n on n.oid = d.dictnamespace "
        "where n.nspname = %s and d.dictname = %s",
        (database.names.prefix + "embedding", f"{language}_all_words"),
    ).fetchone()
    if made is None:
        connection.execute(
            sql.SQL("create text search dictionary {} (template = pg_catalog.snowball, language = {})").format(
                own, sql.Identifier(language)
            )
        )
    return own


def _collation(connection: Connection) -> sql.Composable:
    """What letters are: Postgres' own tables (17 and newer), else the database's, unless it knows ASCII only."""
    row = connection.execute(
        "select datctype in ('C', 'POSIX'), (select collname from pg_collation "
        "where collnamespace = 'pg_catalog'::regnamespace and collencoding in (-1, 6) "
        "and lower(collname) in ('pg_c_utf8', 'und-x-icu', 'c.utf8', 'c.utf-8') "
        "order by array_position(array['pg_c_utf8', 'und-x-icu'], collname::text) nulls last, 1 limit 1) "
        "from pg_database where datname = current_database()"
    ).fetchone()
    assert row is not None
    ascii_only, better = row
    if better is None or not (ascii_only or better == "pg_c_utf8"):
        return sql.SQL("")
    return sql.SQL(" collate {}").format(sql.Identifier("pg_catalog", str(better)))

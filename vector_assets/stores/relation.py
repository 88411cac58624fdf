"""The rows of a collection as SQL sees them: a raw table of ours, or the user's own table in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, LiteralString

from psycopg import sql

from vector_assets.records import KeyColumn
from vector_assets.spec import IMAGE_BYTES


@dataclass(frozen=True, slots=True)
class Relation:
    """A table with its key columns; composes the fragments that the difference rule is made of.

    In the tables of a generation the key's columns are k1, k2, …, with the source's own types.
    """

    table: sql.Identifier
    key: tuple[KeyColumn, ...]
    zoned: frozenset[str] = frozenset()  # columns of type timestamp with time zone
    capture: Literal["trigger", "watermark", "scan"] = "trigger"
    watermark: str = ""  # a column that grows with every write
    overlap: timedelta = timedelta(0)  # how much later than its watermark a row may become visible
    images: frozenset[str] = frozenset()  # columns that hold the bytes of images
    secured: bool = False  # it has row-level security: who asks sees what its policies show

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the key columns in a generation's tables."""
        return tuple(f"k{number}" for number in range(1, len(self.key) + 1))

    def source_key(self, alias: str) -> sql.Composed:
        """``r."id", r."part"``: the key as the source spells it."""
        return columns([column.name for column in self.key], alias)

    def stored_key(self, alias: str) -> sql.Composed:
        """``g."k1", g."k2"``: the key as a generation spells it."""
        return columns(self.key_names, alias)

    def as_stored(self, alias: str) -> sql.Composed:
        """``r."id" as "k1", …``: the key of the source under the names that a generation has for it."""
        return sql.SQL(", ").join(
            sql.SQL("{} as {}").format(sql.Identifier(alias, column.name), sql.Identifier(name))
            for column, name in zip(self.key, self.key_names, strict=True)
        )

    def same(self, source: str, stored: str) -> sql.Composed:
        """``r."id" = g."k1" and …``: join the source with a table of a generation."""
        return _equal([c.name for c in self.key], source, self.key_names, stored)

    def same_stored(self, left: str, right: str) -> sql.Composed:
        """``a."k1" = b."k1" and …``: join two tables of a generation."""
        return _equal(self.key_names, left, self.key_names, right)

    def digest(self, fields: Sequence[str], alias: str) -> sql.Composed:
        """sha256 over a JSON array of fields: the one place that says whether inputs are the same.

        Times are spelled in UTC, so that the view gives the same digest in every session; the other settings that
        the text of JSON depends on are pinned by stores/database.py.
        """
        values = sql.SQL(", ").join(
            sql.SQL("timezone('UTC', {})" if name in self.zoned else self._said(name)).format(
                sql.Identifier(alias, name)
            )
            for name in fields
        )
        return sql.SQL("sha256(convert_to(json_build_array({})::text, 'UTF8'))").format(values)

    def contents(self, fields: Sequence[str], alias: str) -> sql.Composed:
        """``r."title", …``: fields as digests over whole tables read them; of an image its own digest."""
        return sql.SQL(", ").join(sql.SQL(self._said(name)).format(sql.Identifier(alias, name)) for name in fields)

    def inputs(self, fields: Sequence[str], alias: str) -> sql.Composed:
        """``r."title", …``: fields as an encoder reads them; of an image that is too large no more than shows that."""
        return sql.SQL(", ").join(
            sql.SQL("substring({} for {})").format(sql.Identifier(alias, name), sql.Literal(IMAGE_BYTES + 1))
            if name in self.images
            else sql.Identifier(alias, name)
            for name in fields
        )

    def image_bytes(self, fields: Sequence[str], alias: str) -> sql.Composed:
        """The bytes that the images among some fields have together: 0 where there is none."""
        sizes = [
            sql.SQL("coalesce(least(octet_length({}), {}), 0)").format(
                sql.Identifier(alias, name), sql.Literal(IMAGE_BYTES)
            )
            for name in fields
            if name in self.images
        ]
        return sql.SQL(" + ").join([sql.SQL("0"), *sizes])

    def _said(self, name: str) -> LiteralString:
        # Megabytes would go through JSON as hexadecimal digits; 32 bytes of them say as much.
        return "encode(sha256({}), 'hex')" if name in self.images else "{}"

    def key_definition(self) -> sql.Composed:
        """``"k1" text not null, …`` for create table. Types are the catalogue's own words, not a user's."""
        return sql.SQL(", ").join(
            sql.SQL("{} {} not null").format(sql.Identifier(name), sql.SQL(column.type))
            for name, column in zip(self.key_names, self.key, strict=True)
        )


def columns(names: Sequence[str], alias: str) -> sql.Composed:
    """``a."x", a."y"``."""
    return sql.SQL(", ").join(sql.Identifier(alias, name) for name in names)


def _equal(left: Sequence[str], left_alias: str, right: Sequence[str], right_alias: str) -> sql.Composed:
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(left_alias, a), sql.Identifier(right_alias, b))
        for a, b in zip(left, right, strict=True)
    )

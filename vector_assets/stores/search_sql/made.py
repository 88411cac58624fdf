"""A function of the SQL face: its name, what it takes, and the statement that makes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import LiteralString

from psycopg import sql

from vector_assets.index.fusion import Fusion
from vector_assets.records import Generation
from vector_assets.spec import Collection, PostgresSource
from vector_assets.stores.database import Names
from vector_assets.stores.lexical.index import LexicalIndex
from vector_assets.stores.relation import Relation
from vector_assets.stores.search_sql.conditions import Types
from vector_assets.stores.search_sql.partial import ServedPartial


@dataclass(frozen=True, slots=True)
class Served:
    """What the SQL face is composed from. ``extensions`` is the schema in which pgvector lives.

    ``types`` are those of the source's columns, for the values of filters.
    """

    collection: Collection
    generation: Generation
    relation: Relation
    names: Names
    extensions: str
    types: Types = field(default_factory=dict)
    partials: tuple[ServedPartial, ...] = ()  # indexes over the rows of one value that were measured to be true enough
    lexical: LexicalIndex | None = None  # the index of words that answers, once there is one
    fusion: Fusion | None = None  # how its scores and the vectors' are weighed, once that was learned

    @property
    def label(self) -> str:
        """How the collection is called in what users read."""
        return self.collection.name

    @property
    def vectors(self) -> sql.Identifier:
        """The generation's table of vectors."""
        return self.names.table("embedding", self.generation.table)

    @property
    def rows(self) -> sql.Identifier:
        """The generation's table of rows."""
        return self.names.table("embedding", self.generation.table + "_rows")

    @property
    def plain_keys(self) -> sql.Composed:
        """``"k1", "k2"``: the key as a generation spells it, without a table's name."""
        return sql.SQL(", ").join(sql.Identifier(name) for name in self.relation.key_names)

    @property
    def key_columns(self) -> sql.Composed:
        """``"id" bigint, …``: the key as a function returns it, under the source's names."""
        return sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type)) for column in self.relation.key
        )

    @property
    def path(self) -> sql.Composed:
        """The search_path that a function is pinned to."""
        return sql.SQL("pg_catalog, {}, pg_temp").format(sql.Identifier(self.extensions))

    @property
    def rights(self) -> sql.SQL:
        """Whose rights a function has: its owner's, or its caller's where the source has policies."""
        return sql.SQL("security invoker" if self.relation.secured else "security definer")

    @property
    def unguarded(self) -> sql.Composed | None:
        """A condition that raises once the table in place has policies which this was not made for."""
        if self.relation.secured or not isinstance(self.collection.source, PostgresSource):
            return None
        return sql.SQL("{}({}::regclass)").format(
            self.names.table("search", "_open"), sql.Literal(self.relation.table.as_string(None))
        )

    def asked(self, needed: LiteralString = "true") -> sql.Composed:
        """Statements that refuse a vector of another width, none where ``needed`` holds, and one without direction.

        That is one of length 0, or of numbers so large or small that its cosine to itself is no number. Where the index
        is in the order of l2, a long one is scaled: at a great distance all vectors are as far in four bytes.
        """
        return sql.SQL(
            "if (q is null and {needed}) or vector_dims(q) <> {dims} or (q::{kind} <=> q::{kind}) = 'NaN' then "
            "if vector_dims(q) = {dims} then raise exception 'a query for {label} is compared by its direction, and "
            "this one has none: its length is %', vector_norm(q) using errcode = 'data_exception'; end if; "
            "raise exception 'a query for {label} has {dims} dimensions, found %', coalesce(vector_dims(q)::text, "
            "'null') using errcode = 'data_exception'; end if; {scaled}"
        ).format(
            scaled=sql.SQL("q := l2_normalize(q); " if self.generation.metric == "l2" else ""),
            needed=sql.SQL(needed),
            dims=sql.Literal(self.generation.dims),
            kind=sql.SQL(self.generation.vector_type),
            label=sql.SQL(self.label),
        )

    def stamped(self, needed: LiteralString = "true") -> sql.Composed:
        """Statements that refuse another checkpoint than is live, and a vector that cannot be compared."""
        generation, unguarded = self.generation, self.unguarded
        return sql.SQL(
            "{open}if checkpoint is not null and checkpoint not in ({stamps}) then "
            "raise exception 'checkpoint % is not live for collection {label}; live is generation "
            "{number} with {live}', "
            "checkpoint using errcode = 'object_not_in_prerequisite_state'; end if; {asked}"
        ).format(
            open=sql.SQL("perform {}; ").format(unguarded) if unguarded else sql.SQL(""),
            stamps=sql.SQL(", ").join(
                sql.Literal(stamp) for stamp in (generation.checkpoint_set, *generation.checkpoints.values())
            ),
            label=sql.SQL(self.label),
            number=sql.Literal(generation.number),
            live=sql.SQL(", ".join(generation.checkpoints.values())),
            asked=self.asked(needed),
        )


@dataclass(frozen=True, slots=True)
class SqlFunction:
    """``name(arguments)``: the types that it takes, as SQL spells them, and what makes it."""

    name: str
    arguments: str
    definition: sql.Composed

"""What ``search.<collection>_bm25`` does first where a filter is given."""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from vector_assets.stores.lexical.index import LexicalIndex
from vector_assets.stores.relation import Relation

#: Rows looked up in full for the bar at most, and asked for at most in place of following a filter.
DEEPEST = 400
_SPARE = 3  # times as many of the best of all are asked for as a filter is expected to leave k of

# Where many rows match a filter, some more of the best of all are asked for: they answer when k of them match, or when
# they are all there are. Elsewhere only rows that match are followed, from the start.
_FILTERED: LiteralString = (
    "if filter is not null then shown := ({condition}); "
    "deep := 20 + {spare}::float8 * k * total / "
    "greatest((select e.rows_expected from {search}._estimate({counted} || shown) e), 1); "
    "if deep <= {deepest} then return query execute {deeper} || shown || {answered} using q, deep::integer, k; "
    "if found then return; end if; end if; "
    "execute {matching} || shown into docs, sums; "
    "if docs is null then return; end if; closed := true; end if; "
)
_DEEPER: LiteralString = (
    "with a as materialized (select * from {function}($1, $2) with ordinality a ({keys}, score, place)), "
    "b as materialized (select a.* from a join {source} r on {same} where "
)
_ANSWERED: LiteralString = (
    ") select {keys}, b.score from b where (select count(*) from b) >= $3 or (select count(*) from a) < $2 "
    "order by b.place limit $3"
)


def filtered_first(
    function: sql.Identifier, index: LexicalIndex, relation: Relation, condition: sql.Composable
) -> sql.Composed:
    """Compose what is done first with a filter; its statements are texts that end before the condition."""
    keys = sql.SQL(", ").join(map(sql.Identifier, relation.key_names))
    deeper = sql.SQL(_DEEPER).format(function=function, keys=keys, source=relation.table, same=relation.same("r", "a"))
    matching = sql.SQL("select array_agg(g.doc), array_agg(0::float8) from {} g join {} r on {} where ")
    texts = {
        "counted": sql.SQL("select 1 from {} r where ").format(relation.table),
        "deeper": deeper,
        "answered": sql.SQL(_ANSWERED).format(keys=relation.stored_key("b")),
        "matching": matching.format(index.rows, relation.table, relation.same("r", "g")),
    }
    return sql.SQL(_FILTERED).format(
        condition=condition,
        search=index.names.schema("search"),
        spare=sql.Literal(_SPARE),
        deepest=sql.Literal(DEEPEST),
        **{name: sql.Literal(text.as_string(None)) for name, text in texts.items()},
    )

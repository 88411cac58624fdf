"""Whether an index of words holds the rows as they stand."""

from __future__ import annotations

from psycopg import sql

from vector_assets.index.integrity import WordCoverage
from vector_assets.spec import Lexical
from vector_assets.stores.database import Database
from vector_assets.stores.lexical.index import standing
from vector_assets.stores.relation import Relation


def word_coverage(
    database: Database, collection: str, lexical: Lexical, relation: Relation, *, since: str | None = None
) -> WordCoverage:
    """Count source against the declared index, both ways, by the digests of its sync.

    ``since`` comes from ``EmbeddingStore.now``; without it all pending rows are overdue.
    """
    with database.connect() as connection:
        index = standing(database, connection, collection, lexical)
        if index is None:
            row = connection.execute(sql.SQL("select count(*) from {}").format(relation.table)).fetchone()
            assert row is not None
            return WordCoverage(pending=int(str(row[0])), overdue=int(str(row[0])), orphans=0)
        row = connection.execute(
            sql.SQL(
                "select count(*) filter (where {key} is not null and g.row_digest is distinct from {digest}), "
                "count(*) filter (where {key} is not null and g.row_digest is distinct from {digest} "
                "and ({since}::xid is null or age(r.xmin) > age({since}::xid))), "
                "count(*) filter (where {key} is null) from {table} r full join {rows} g on {same}"
            ).format(
                key=sql.Identifier("r", relation.key[0].name), digest=relation.digest(index.fields, "r"),
                since=sql.Literal(since), table=relation.table, rows=index.rows, same=relation.same("r", "g"),
            )
        ).fetchone()  # fmt: skip
    assert row is not None
    pending, overdue, orphans = (int(str(value)) for value in row)
    return WordCoverage(pending, overdue, orphans)

"""The last questions of a collection, kept only where ``evaluation.shadow`` asks for them: what shadow reads ask."""

from __future__ import annotations

from vector_assets.stores.database import Database


class QueryLog:
    """The writer's side. Searches add to it through ``search._record_query``, as the reader (sql/009_queries.sql)."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database

    def keep(self, collection: str, count: int) -> None:
        """Keep this many from now on; 0 forgets what was kept."""
        with self.database.connect() as connection:
            if not count:
                connection.execute(
                    self.database.compose("delete from {ops}.query_logs where collection = %s"), (collection,)
                )
                return
            connection.execute(
                self.database.compose(
                    "insert into {ops}.query_logs (collection, keep) values (%s, %s) on conflict (collection) do "
                    "update set keep = excluded.keep where query_logs.keep <> excluded.keep"
                ),
                (collection, count),
            )
            connection.execute(
                self.database.compose(
                    "delete from {ops}.queries where collection = %s and id <= (select id from {ops}.queries "
                    "where collection = %s order by id desc offset %s limit 1)"
                ),
                (collection, collection, count),
            )

    def recent_queries(self, collection: str, n: int) -> list[str]:
        """The same, as drift asks for them."""
        return self.recent(collection, n)

    def recent(self, collection: str, count: int) -> list[str]:
        """Return the last ``count`` questions, the newest first, each once."""
        with self.database.connect() as connection:
            rows = connection.execute(
                self.database.compose(
                    "select question from {ops}.queries where collection = %s group by question "
                    "order by max(id) desc limit %s"
                ),
                (collection, count),
            ).fetchall()
        return [str(row[0]) for row in rows]

"""One database URL, with the driver that each consumer needs."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from vector_assets.errors import DatabaseError


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A Postgres URL without a driver; the properties give the spelling of each consumer."""

    url: URL

    @classmethod
    def parse(cls, text: str, *, name: str) -> DatabaseUrl:
        """Parse a URL; ``name`` is the variable it came from. Raises DatabaseError, never showing the password."""
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            raise DatabaseError(
                f"{name} is not a URL; expected postgresql://user:password@host:port/database"
            ) from None
        if url.get_backend_name() not in ("postgresql", "postgres"):
            raise DatabaseError(
                f"{name} names {url.get_backend_name()}; expected postgresql://user:password@host:port/database"
            )
        return cls(url.set(drivername="postgresql"))

    @property
    def libpq(self) -> str:
        """For psycopg and psql: no driver suffix."""
        return self.url.render_as_string(hide_password=False)

    @property
    def sqlalchemy(self) -> str:
        """For our own SQLAlchemy code."""
        return self.url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)

    @property
    def dagster(self) -> str:
        """For dagster-postgres, whose NOTIFY fails on psycopg 3."""
        return self.url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)

    @property
    def shown(self) -> str:
        """For people and logs: the password is hidden."""
        return self.url.render_as_string(hide_password=True)

    def database(self, name: str) -> DatabaseUrl:
        """The same server, another database."""
        return DatabaseUrl(self.url.set(database=name))

    def schema(self, name: str) -> DatabaseUrl:
        """The same database, another schema first in the search path."""
        return DatabaseUrl(self.url.update_query_dict({"options": f"-csearch_path={name}"}))

    def user(self, name: str) -> DatabaseUrl:
        """The same database for another role, without a password."""
        return DatabaseUrl(self.url._replace(username=name, password=None))  # ``set`` would keep the password

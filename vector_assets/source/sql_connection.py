"""Connections to databases of users: read only where that can be said, and no secret in what goes wrong."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.sql import quoted_name

from vector_assets.errors import SourceError
from vector_assets.source.secrets import secret_url, without_secrets

#: Databases that are a file, and whose names mean the same with quotes and without.
FILES = ("sqlite", "duckdb")
_EXTRAS = {"duckdb": "duckdb"}


@dataclass(frozen=True, slots=True)
class Sample:
    """The columns of a table and some of its rows."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


def read_url(reference: str, collection: str) -> sa.URL:
    """Return the URL that a reference names; Postgres gets the driver that we have. Raises SourceError."""
    try:
        url = sa.make_url(secret_url(reference, collection))
    except (ArgumentError, ValueError):
        raise SourceError(
            f"{collection}: the variable of source.url holds no URL; expected dialect://user:password@host/database"
        ) from None
    is_bare = url.drivername in ("postgresql", "postgres")
    return url.set(drivername="postgresql+psycopg") if is_bare else url


@contextmanager
def connected(url: sa.URL, collection: str) -> Iterator[sa.Connection]:
    """Open a connection; what fails while it is open is a SourceError of one line without secrets."""
    try:
        with _engine(url, collection).connect() as connection:
            yield connection
    except NoSuchModuleError as error:
        raise SourceError(f"{collection}: {_missing(str(error))}") from None
    except ModuleNotFoundError as error:
        raise SourceError(f"{collection}: {_missing(str(error.name))}") from None
    except SQLAlchemyError as error:
        # The driver's own words: SQLAlchemy's carry the statement, and a link.
        said = error.orig if isinstance(error, DBAPIError) and error.orig else error
        # Parameters of the URL may be tokens.
        shown = url.set(query={}).render_as_string(hide_password=True)
        why = without_secrets(str(said), url.render_as_string(hide_password=False))[:500]
        raise SourceError(f"{collection}: {shown} cannot be read: {why}") from None


def sample_table(reference: str, table: str, collection: str, *, count: int = 1_000) -> Sample:
    """Return some rows of a table of which nothing is declared yet. Raises SourceError."""
    schema, _, name = table.rpartition(".")
    with connected(read_url(reference, collection), collection) as connection:
        there = sa.table(name, schema=schema or None)
        found = connection.execute(sa.select(sa.text("*")).select_from(there).limit(count))
        return Sample(tuple(found.keys()), tuple(tuple(row) for row in found))


def read_columns(
    url: sa.URL, name: str, *, table: str | None, query: str | None, batch: int = 5_000
) -> Generator[Mapping[str, object]]:
    """Stream the rows of a table or of one select, by column. ``name`` is what messages call it. Raises SourceError."""
    if table:
        schema, _, bare = table.rpartition(".")
        quote = True if url.get_backend_name() in FILES else None  # more words are reserved there than are known
        there = sa.table(quoted_name(bare, quote), schema=schema or None)
        wanted: sa.Executable = sa.select(sa.text("*")).select_from(there)
    else:
        # A colon is a colon: the query has no parameters.
        wanted = sa.text(str(query).strip().rstrip(";").rstrip().replace(":", "\\:"))
    with connected(url, name) as connection:
        rows = connection.execution_options(stream_results=True, yield_per=batch).execute(wanted)
        for row in rows.mappings():
            yield {str(column): value for column, value in row.items()}


def _engine(url: sa.URL, collection: str) -> sa.Engine:
    options: dict[str, Any] = {}
    backend = url.get_backend_name()
    if backend in FILES and url.database and url.database != ":memory:":
        if not Path(url.database).is_file():  # which sqlite would make, empty
            raise SourceError(f"{collection}: {url.database}: no such file; expected a database")
        options = {"read_only": True} if backend == "duckdb" else {}
    execution: Mapping[str, Any] = {"postgresql_readonly": True} if backend == "postgresql" else {}
    return sa.create_engine(
        url, poolclass=NullPool, hide_parameters=True, connect_args=options, execution_options=execution
    )


def _missing(said: str) -> str:
    name = re.sub(r".*:", "", said).strip().split(".")[0]
    extra = _EXTRAS.get(name)
    install = f"pip install 'vector-assets[{extra}]'" if extra else f"install the SQLAlchemy dialect for {name}"
    return f"the driver of its URL is not installed ({name}); {install}"

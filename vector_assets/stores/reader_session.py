"""One connection of the reader role, opened at the first question and kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString, cast

import psycopg
from pgvector.psycopg import register_vector
from psycopg import sql

from vector_assets.errors import DatabaseError, NotLive, UserError
from vector_assets.spec.field import FieldType
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import READER, Names
from vector_assets.stores.session_settings import checked_settings, set_all
from vector_assets.stores.urls import DatabaseUrl

_NEVER = 2**31  # executions before a query is prepared by itself
# What a function raises, or what is missing, when another generation went live or a column changed its type.
# Or a prepared query has other columns now: Postgres says that its plan must not change its result.
_MOVED = (
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.ObjectNotInPrerequisiteState,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedTable,
)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Keys:
    """The key's columns of a collection, and the function that they were read of as it was then."""

    names: tuple[str, ...]
    function: int  # oid
    version: str  # xmin of its line in the catalogue: another one once it was made anew


class ReaderSession:
    """Asks as the reader, never as the writer."""

    def __init__(
        self, url: DatabaseUrl, names: Names, *, become: bool, settings: Mapping[str, str] | None = None
    ) -> None:
        """``become`` says that the URL's user must turn into the reader; else the URL names the reader itself.

        ``settings`` are the session's, for policies that ask by ``current_setting`` who is reading.
        """
        self.url = url
        self.settings = checked_settings(settings or {})
        self.names = names
        self.become = become
        self._connection: Connection | None = None
        self._known: dict[str, Keys] = {}

    @property
    def role(self) -> str:
        """Who asks."""
        return READER if self.become else str(self.url.url.username)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(
        self,
        query: LiteralString | sql.Composed,
        values: tuple[object, ...],
        *,
        binary: bool = False,
        prepare: bool = False,
    ) -> psycopg.Cursor[tuple[object, ...]]:
        """Ask a function of the SQL face; raises NotLive where it is not, or not any more, what was meant.

        A prepared query spares the planner; where a column has come or gone since, the next one is planned anew.
        """
        try:
            return self._run(query, values, binary=binary, prepare=prepare)
        except _MOVED as error:
            if not isinstance(error, psycopg.errors.ObjectNotInPrerequisiteState):  # which says that it is not live
                self._known.clear()
            if isinstance(error, psycopg.errors.FeatureNotSupported):
                self.close()
            raise NotLive(" ".join(str(error).split("CONTEXT")[0].split())) from None
        except psycopg.errors.DataError as error:  # a filter that is none, a vector of another width
            raise UserError(" ".join(str(error.diag.message_primary).split())) from None
        except psycopg.errors.InsufficientPrivilege as error:
            role = self.role
            raise DatabaseError(
                f"{role} may not search here: {error.diag.message_primary}; see doctor, and where the source has "
                f"row-level security, its owner lets a role read it: grant select on … to {role}"
            ) from None

    def knows(self, collection: str) -> bool:
        """Tell whether the key's columns have been looked up, and nothing has happened since that tells of others."""
        return collection in self._known

    def known_keys(self, collection: str, *, fresh: bool = False) -> Keys:
        """The key's columns as they were when they were last asked for; who uses them checks that they still hold."""
        if fresh or collection not in self._known:
            self._known[collection] = self._keys(collection)
        return self._known[collection]

    def keys(self, collection: str) -> list[str]:
        """The key's columns: what the search function returns before chunk_no."""
        return list(self._keys(collection).names)

    def _keys(self, collection: str) -> Keys:
        row = self._run(
            "select p.proargnames::text[], p.proargmodes::text[], p.oid::bigint, p.xmin::text from pg_proc p "
            "join pg_namespace n on n.oid = p.pronamespace where n.nspname = %s and p.proname = %s",
            (self.names.prefix + "search", collection),
        ).fetchone()
        if row is None:
            raise NotLive.nothing(collection)
        names, modes = cast(list[str], row[0]), cast(list[str], row[1])
        out = [name for name, mode in zip(names, modes, strict=True) if mode == "t"]
        return Keys(tuple(out[: out.index("chunk_no")]), int(str(row[2])), str(row[3]))

    def key_types(self, collection: str) -> dict[str, FieldType]:
        """The key's columns with the types that filters read their values by."""
        keys = self.keys(collection)
        rows = self._run(
            "select p.proargnames[a.place], t.typcategory::text from pg_proc p "
            "join pg_namespace n on n.oid = p.pronamespace "
            "cross join lateral unnest(p.proallargtypes) with ordinality a (type, place) "
            "join pg_type t on t.oid = a.type "
            "where n.nspname = %s and p.proname = %s and p.proargmodes[a.place] = 't'",
            (self.names.prefix + "search", collection),
        ).fetchall()
        families = {str(name): str(category) for name, category in rows}
        kinds: dict[str, FieldType] = {"N": "number", "D": "datetime"}
        return {name: kinds.get(families[name], "category") for name in keys}

    def _execute(self, text: str, values: tuple[object, ...]) -> psycopg.Cursor[tuple[object, ...]]:
        return self._run(self.names.compose(text), values)

    def _run(
        self,
        query: LiteralString | sql.Composed,
        values: tuple[object, ...],
        *,
        binary: bool = False,
        prepare: bool = False,
    ) -> psycopg.Cursor[tuple[object, ...]]:
        """Execute; a connection that the server has ended meanwhile is opened again, once."""
        connection = self._connect()
        try:
            return connection.execute(query, values, binary=binary, prepare=prepare)
        except psycopg.OperationalError:
            if not connection.closed:
                raise
            return self._connect().execute(query, values, binary=binary, prepare=prepare)

    def _connect(self) -> Connection:
        if self._connection is None or self._connection.closed:
            options = "-c timezone=UTC -c default_transaction_read_only=on"
            try:
                # Nothing is prepared but what asks for it: plans outlive the columns of a view.
                connection: Connection = psycopg.connect(
                    self.url.libpq, options=options, autocommit=True, connect_timeout=10, prepare_threshold=_NEVER
                )
                if self.become:
                    connection.execute(sql.SQL("set role {}").format(sql.Identifier(READER)))
            except (
                psycopg.OperationalError,
                psycopg.errors.InsufficientPrivilege,
                psycopg.errors.InvalidParameterValue,  # there is no such role
            ) as error:
                reason = " ".join(str(error).split())
                raise DatabaseError(
                    f"search cannot connect as {self.role} to {self.url.shown}: {reason}; "
                    "vector-assets doctor names what an administrator has to run"
                ) from None
            set_all(connection, self.settings)
            register_vector(connection)
            connection.add_notice_handler(_told)
            self._connection = connection
        return self._connection


def identifier(name: str) -> sql.Identifier:
    """Quote a name inside a query with parameters, where a lone % would be a placeholder."""
    return sql.Identifier(name.replace("%", "%%"))


def _told(notice: psycopg.errors.Diagnostic) -> None:
    """Pass on what a function says beside its answer."""
    _logger.info("%s", notice.message_primary)

"""Settings that a reader's session has for the policies of a source, such as ``app.tenant``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import psycopg

from vector_assets.errors import UserError
from vector_assets.stores.connections import Connection

_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_$]*)(\.[A-Za-z_][A-Za-z0-9_$]*)+")
_LONGEST = 63  # of a name in Postgres
#: What search sets by itself, or Postgres' own languages and modules read: no policy of a user's asks for it.
_OTHERS = frozenset(("hnsw", "ivfflat", "vector_assets", "plpgsql", "auto_explain", "pg_stat_statements", "pg_trgm"))


def checked_settings(settings: Mapping[str, str], option: str = "settings") -> dict[str, str]:
    """Return settings as they may be made; raises UserError, naming ``option``, for other names and values.

    A name has a dot, which the settings of Postgres have not.
    """
    for name, value in settings.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _LONGEST:
            raise UserError(
                f"{option} {name!r}: expected a name with a dot that your policies read, such as app.tenant"
            )
        if name.split(".")[0].lower() in _OTHERS:
            raise UserError(f"{option} {name}: is a setting of search itself; expected one that your policies read")
        if not isinstance(value, str) or "\0" in value:
            raise UserError(f"{option} {name}: the value is {value!r}; expected a text without NUL")
    return dict(settings)


def read_settings(pairs: Sequence[str], option: str = "--set") -> dict[str, str]:
    """Read ``app.tenant=acme``, each name once; raises UserError for anything else."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"{option} {pair}: expected NAME=VALUE, such as app.tenant=acme")
        if name in found:
            raise UserError(f"{option} {name}: is set twice; expected one value")
        found[name] = value
    return checked_settings(found, option)


def set_all(connection: Connection, settings: Mapping[str, str]) -> None:
    """Make settings those of a session; raises UserError for one that this role may not make."""
    for name, value in settings.items():
        try:
            connection.execute("select set_config(%s, %s, false)", (name, value))
        except psycopg.Error as error:
            raise UserError(f"settings {name}: Postgres refuses it: {' '.join(str(error).split())}") from None

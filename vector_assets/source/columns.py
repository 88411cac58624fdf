"""Some columns of files that stand beside the rows: JSONL, CSV, TSV, Parquet. A line that cannot be read ends it."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from vector_assets.errors import SourceError
from vector_assets.records import BadRow
from vector_assets.source.formats import ENDINGS, READERS, Request
from vector_assets.source.storable import is_storable
from vector_assets.source.storage import SourceFile, open_bytes, open_seekable
from vector_assets.source.values import found, plain


def read_columns(
    file: SourceFile, needed: Sequence[str], optional: Sequence[str] = ()
) -> Generator[tuple[str, dict[str, object]]]:
    """Stream the place of each line, and its values by column; of JSONL an absent one is None.

    Raises SourceError naming the line that cannot be read, or the ``needed`` column that a table does not have.
    """
    kind = ENDINGS.get(file.ending)
    if kind is None:
        raise SourceError(
            f"{file.name}: the ending does not tell the format; expected .jsonl, .csv, .tsv or .parquet (or with .gz)"
        )
    opened = open_seekable if kind == "parquet" else open_bytes
    wanted: list[str] = [*needed, *optional]
    if kind != "jsonl":
        there: list[str] = []
        with opened(file) as stream:
            next(iter(READERS[kind](stream, Request(file.name, (), there.extend))), None)  # the header alone
        require_columns(needed, there, file.name)
        wanted = [name for name in wanted if name in there]
    with opened(file) as stream:
        for line in READERS[kind](stream, Request(file.name, wanted, lambda names: None)):
            if isinstance(line, BadRow):
                raise SourceError(f"{line.where}: {line.error}")
            yield line.where, dict(zip(wanted, line.values, strict=True))


def require_columns(needed: Sequence[str], there: Sequence[str], where: str) -> None:
    """Raise SourceError that names the first column that is not there."""
    for name in needed:
        if name not in there:
            raise SourceError(f"{where}: has no column {name}; it has {', '.join(there)}")


def text_of(name: str, value: object, where: str) -> str:
    """Return text, or a whole number as text. Raises SourceError."""
    value = plain(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise SourceError(f"{where}: {name} is {found(value)}; expected text")
    if not is_storable(value):
        raise SourceError(f"{where}: {name} has a NUL character or half a surrogate pair")
    return value

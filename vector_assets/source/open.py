"""From a declaration to the reader of its rows."""

from __future__ import annotations

from vector_assets.errors import SourceError
from vector_assets.records import SourceReader
from vector_assets.source.files import FileReader
from vector_assets.source.python_code import PythonCodeReader
from vector_assets.source.queue import QueueReader
from vector_assets.source.sql import SqlReader
from vector_assets.spec.collection import Collection
from vector_assets.spec.source import FileSource, PythonCodeSource, QueueSource, SqlSource


def open_source(collection: Collection) -> SourceReader:
    """Return the reader of a source that is copied to ``raw``. A Postgres table is used in place and has none."""
    source = collection.source
    if isinstance(source, FileSource):
        return FileReader(collection, source)
    if isinstance(source, PythonCodeSource):
        return PythonCodeReader(collection, source)
    if isinstance(source, SqlSource):
        return SqlReader(collection, source)
    if isinstance(source, QueueSource):
        return QueueReader(collection, source)
    raise SourceError(f"{collection.name}: the table {source.table} is used in place; expected a source that is copied")

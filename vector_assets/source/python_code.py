"""Rows of installed Python code: functions, methods and classes, parsed and never imported."""

from __future__ import annotations

import hashlib
import heapq
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby

from vector_assets.records import BadRow, KeyColumn, RawRow
from vector_assets.source.distributions import Installed, ModuleFile, find_installed
from vector_assets.source.parse import Parsed, ParsedRow, ParseTask
from vector_assets.source.workers import parse_all, usable_cores
from vector_assets.spec.collection import Collection
from vector_assets.spec.source import PythonCodeSource

#: Raised when the same files would give other rows, so that fingerprints change with it.
_VERSION = 1
_BATCH_BYTES = 2**20
_BATCH_FILES = 100
#: Below this, starting processes takes longer than parsing.
_WORTH_PROCESSES = 4 * 2**20


class PythonCodeReader:
    """Reads the rows of a ``python_code`` source; the key is ``distribution:module:qualname``.

    A file that Python cannot parse is one BadRow. A distribution that is not installed raises SourceError.
    """

    def __init__(self, collection: Collection, source: PythonCodeSource) -> None:
        self._source = source
        self._fields = tuple(collection.fields)

    @property
    def key(self) -> tuple[KeyColumn, ...]:
        """One text column, ``id``."""
        return (KeyColumn(name="id", type="text"),)

    def fingerprint(self) -> str:
        """Digest of names, versions and RECORD files, and of how they are read. Edits in site-packages are not seen."""
        # ast.unparse words code slightly differently from one Python to the next.
        how = [_VERSION, sys.version_info[:2], self._source.documented, self._source.per_distribution, self._fields]
        how.append(self._source.tests)
        stamps = [installed.stamp() for installed in find_installed(self._source.distributions)]
        return hashlib.sha256(json.dumps([how, stamps]).encode()).hexdigest()

    def rows(self) -> Iterator[RawRow | BadRow]:
        """Stream the rows, distribution by distribution. A batch of files is in memory at once, not a distribution."""
        tasks = [task for installed in find_installed(self._source.distributions) for task in self._tasks(installed)]
        size = sum(file.size for task in tasks for file in task.files)
        with closing(parse_all(tasks, usable_cores() if size >= _WORTH_PROCESSES else 1)) as results:
            pairs = zip(tasks, results, strict=True)
            for _, parsed in groupby(pairs, key=lambda pair: pair[0].distribution):
                yield from self._distribution(result for _, result in parsed)

    def _distribution(self, results: Iterator[Parsed]) -> Iterator[RawRow | BadRow]:
        smallest: list[ParsedRow] = []
        for result in results:
            yield from result.bad
            if self._source.per_distribution is None:
                yield from (RawRow(key=(row.id,), values=row.values) for row in result.rows)
            else:
                candidates = [*smallest, *result.rows]
                smallest = heapq.nsmallest(self._source.per_distribution, candidates, key=lambda row: row.rank)
        yield from (RawRow(key=(row.id,), values=row.values) for row in sorted(smallest, key=lambda row: row.id))

    def _tasks(self, installed: Installed) -> Iterator[ParseTask]:
        batch: list[ModuleFile] = []
        size = 0
        for file in installed.modules():
            if file.is_test and not self._source.tests:
                continue
            if batch and (size + file.size > _BATCH_BYTES or len(batch) >= _BATCH_FILES):
                yield self._task(installed.name, batch)
                batch, size = [], 0
            batch.append(file)
            size += file.size
        if batch:
            yield self._task(installed.name, batch)

    def _task(self, name: str, files: list[ModuleFile]) -> ParseTask:
        return ParseTask(
            distribution=name,
            files=tuple(files),
            fields=self._fields,
            documented=self._source.documented,
            smallest=self._source.per_distribution,
        )

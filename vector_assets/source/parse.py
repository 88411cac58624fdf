"""Parsing a batch of Python files into rows: one pure function, and the loop of the processes that run it."""

from __future__ import annotations

import gc
import hashlib
import heapq
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vector_assets.records import BadRow, Value
from vector_assets.source.definitions import Definition, parse_definitions
from vector_assets.source.distributions import ModuleFile
from vector_assets.source.storable import storable

_MAKE: dict[str, Callable[[Definition], Value]] = {
    "name": lambda definition: definition.node.name,
    "qualname": lambda definition: definition.qualname,
    "kind": lambda definition: definition.kind,
    "signature": lambda definition: definition.signature,
    "summary": lambda definition: definition.summary,
    "docstring": lambda definition: definition.docstring,
    "body": lambda definition: definition.body,
    "lines": lambda definition: float(definition.lines),
}


@dataclass(frozen=True, slots=True)
class ParseTask:
    """Some files of one distribution, and what to keep of them: ``smallest`` keeps that many by sha256 of the id."""

    distribution: str
    files: tuple[ModuleFile, ...]
    fields: tuple[str, ...]
    documented: bool
    smallest: int | None


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """One definition as a row: its id and the values of the wanted fields."""

    id: str
    values: tuple[Value, ...]

    @property
    def rank(self) -> bytes:
        """sha256 of the id, which draws the same rows every time."""
        return rank(self.id)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What came of a task."""

    rows: tuple[ParsedRow, ...]
    bad: tuple[BadRow, ...]


def rank(row_id: str) -> bytes:
    """Return the sha256 that orders ids where only some of a distribution are wanted."""
    return hashlib.sha256(row_id.encode()).digest()


def parse_batch(task: ParseTask) -> Parsed:
    """Parse the files of a task. A file or definition that cannot be parsed is a BadRow, and the rest goes on."""
    bad: list[BadRow] = []
    found = _definitions(task, bad)
    if task.smallest is not None:
        found = iter(heapq.nsmallest(task.smallest, found, key=lambda item: rank(item[0])))
    rows: list[ParsedRow] = []
    for row_id, file, definition in found:
        try:
            rows.append(ParsedRow(row_id, tuple(_value(name, task, file, definition) for name in task.fields)))
        except (RecursionError, ValueError) as error:
            bad.append(_bad(f"{file.path}:{definition.node.lineno}", error))
    return Parsed(rows=tuple(rows), bad=tuple(bad))


def _definitions(task: ParseTask, bad: list[BadRow]) -> Iterator[tuple[str, ModuleFile, Definition]]:
    for file in task.files:
        try:
            definitions = parse_definitions(Path(file.path).read_bytes())
        except FileNotFoundError:
            # RECORD names it, but it is gone. importlib_metadata, once anything imports it, leaves such files out of
            # what the standard library lists; both ways must read the same rows.
            continue
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None)
            bad.append(_bad(f"{file.path}:{line}" if line else file.path, error))
            continue
        for definition in definitions:
            if definition.docstring or not task.documented:
                yield storable(f"{task.distribution}:{file.module}:{definition.qualname}"), file, definition


def _value(name: str, task: ParseTask, file: ModuleFile, definition: Definition) -> Value:
    value: Value
    if name == "distribution":
        value = task.distribution
    elif name == "module":
        value = file.module
    else:
        value = _MAKE[name](definition)
    return storable(value) if isinstance(value, str) else value


def _bad(where: str, error: BaseException) -> BadRow:
    reason = error.msg if isinstance(error, SyntaxError) else str(error)
    return BadRow(where=storable(where), error=storable(f"cannot be parsed: {reason or type(error).__name__}"))


def serve() -> None:
    """Answer pickled tasks on stdin with pickled results on stdout until stdin ends; run in processes of our own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us by closing the pipe
    gc.disable()  # syntax trees hold no cycles, and scanning them costs a fifth of the time
    tasks = sys.stdin.buffer
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as results:
        while True:
            try:
                task = pickle.load(tasks)  # noqa: S301  # written by our own parent
            except EOFError:
                return
            pickle.dump(parse_batch(task), results)
            results.flush()
            gc.collect()

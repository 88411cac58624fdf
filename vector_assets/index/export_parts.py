"""One file of an export: a block of vectors as Parquet or npz, and back, bit by bit the same."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from vector_assets.spec.export import ExportFormat

#: Key of the head in Parquet's metadata and name of its array in npz.
HEAD = "vector_assets"
#: Columns of ours; a key column of such a name gets ``key_`` before it.
COLUMNS = ("chunk_no", "start_offset", "stop_offset", "chunk_digest", "present", "truncated", "vector")
ROWS_PER_FILE: dict[ExportFormat, int] = {"parquet": 131_072, "npz": 16_384}

KeyValues = NDArray[Any]  # (n,) int64, or text


@dataclass(frozen=True, slots=True)
class ExportBlock:
    """Some vectors with what names and stamps them; every array has n rows.

    ``vectors`` is (n, dims), float32, or float16 where the generation is stored as halfvec. ``keys`` has one array per
    key column: int64, or text in Postgres' own spelling. Offsets are where the chunk's text stands in the row's text;
    bit i of ``present`` is set when space i has a part; ``digests`` are sha256 of the chunks' texts.
    """

    keys: tuple[KeyValues, ...]
    chunk_no: NDArray[np.int32]
    start: NDArray[np.int32]
    stop: NDArray[np.int32]
    digests: NDArray[np.uint8]  # (n, 32)
    present: NDArray[np.int64]
    truncated: NDArray[np.bool_]
    vectors: NDArray[Any]

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: slice | NDArray[np.bool_]) -> ExportBlock:
        """Return some of the rows, in their order."""
        return ExportBlock(
            tuple(key[rows] for key in self.keys), self.chunk_no[rows], self.start[rows], self.stop[rows],
            self.digests[rows], self.present[rows], self.truncated[rows], self.vectors[rows],
        )  # fmt: skip

    @staticmethod
    def join(blocks: Sequence[ExportBlock]) -> ExportBlock:
        """Return the rows of all blocks; there is at least one."""
        columns = [[b.chunk_no, b.start, b.stop, b.digests, b.present, b.truncated, b.vectors] for b in blocks]
        keys = tuple(np.concatenate(parts) for parts in zip(*(b.keys for b in blocks), strict=True))
        return ExportBlock(keys, *(np.concatenate(parts) for parts in zip(*columns, strict=True)))

    def partition(self, partitions: int) -> NDArray[np.int64]:
        """Return the partition of each row: (n,), by sha256 of its key as a JSON array, so that any tool can tell."""
        names = zip(*(key.tolist() for key in self.keys), strict=True)
        texts = (json.dumps(list(name), separators=(",", ":"), ensure_ascii=False) for name in names)
        hashes = (hashlib.sha256(text.encode()).digest()[:8] for text in texts)
        return np.array([int.from_bytes(value, "big") % partitions for value in hashes], dtype=np.int64)


def key_columns(names: Sequence[str]) -> list[str]:
    """Return the names that key columns have in the files."""
    return [f"key_{name}" if name in COLUMNS or name == HEAD else name for name in names]


class PartWriter(Protocol):
    """Writes blocks into one file."""

    def add(self, block: ExportBlock) -> None:
        """Append rows."""
        ...

    def close(self) -> None:
        """Finish the file; the stream stays open."""
        ...


class ParquetPart:
    """A row group per block; the head is in the schema's metadata."""

    def __init__(self, file: IO[bytes], names: Sequence[str], head: Mapping[str, object]) -> None:
        self._file, self._names, self._head = file, names, head
        self._writer: parquet.ParquetWriter | None = None

    def add(self, block: ExportBlock) -> None:
        """Append rows as one row group."""
        table = self._table(block)
        if self._writer is None:
            # Vectors do not compress; a dictionary of them would only cost time.
            self._writer = parquet.ParquetWriter(
                self._file, table.schema, compression="zstd", use_dictionary=False, write_statistics=False
            )
        self._writer.write_table(table, row_group_size=max(len(block), 1))

    def close(self) -> None:
        """Write the footer."""
        if self._writer is not None:
            self._writer.close()

    def _table(self, block: ExportBlock) -> pa.Table:
        flat = pa.array(np.ascontiguousarray(block.vectors).reshape(-1))
        arrays = [
            *(pa.array(key.tolist(), pa.int64() if key.dtype.kind == "i" else pa.string()) for key in block.keys),
            pa.array(block.chunk_no),
            pa.array(block.start),
            pa.array(block.stop),
            pa.array([digest.tobytes() for digest in block.digests], pa.binary()),
            pa.array(block.present),
            pa.array(block.truncated),
            pa.FixedSizeListArray.from_arrays(flat, block.vectors.shape[1]),
        ]
        fields = [pa.field(name, a.type, nullable=False) for name, a in zip(self._all_names(), arrays, strict=True)]
        schema = pa.schema(fields, metadata={HEAD: json.dumps(self._head, ensure_ascii=False)})
        return pa.Table.from_arrays(arrays, schema=schema)

    def _all_names(self) -> list[str]:
        return [*key_columns(self._names), *COLUMNS]


class NpzPart:
    """One array per column, gathered until the file is full; numpy reads it without pickles."""

    def __init__(self, file: IO[bytes], names: Sequence[str], head: Mapping[str, object]) -> None:
        self._file, self._names, self._head = file, names, head
        self._blocks: list[ExportBlock] = []

    def add(self, block: ExportBlock) -> None:
        """Keep the rows until the file is closed."""
        self._blocks.append(block)

    def close(self) -> None:
        """Write all arrays."""
        block = ExportBlock.join(self._blocks)
        keys = dict(zip(key_columns(self._names), block.keys, strict=True))
        ours = (block.chunk_no, block.start, block.stop, block.digests, block.present, block.truncated, block.vectors)
        head = np.array(json.dumps(self._head, ensure_ascii=False))
        np.savez(self._file, **{HEAD: head}, **keys, **dict(zip(COLUMNS, ours, strict=True)))  # type: ignore[arg-type]
        self._blocks = []


PARTS: dict[ExportFormat, type[ParquetPart] | type[NpzPart]] = {"parquet": ParquetPart, "npz": NpzPart}


def read_parquet(file: IO[bytes], names: Sequence[str]) -> Iterator[tuple[Mapping[str, object], ExportBlock]]:
    """Yield head and block of each row group."""
    source = parquet.ParquetFile(file)
    head = json.loads((source.schema_arrow.metadata or {})[HEAD.encode()])
    for group in range(source.num_row_groups):
        table = source.read_row_group(group).combine_chunks()
        column = {name: table.column(name).combine_chunks() for name in table.column_names}
        vectors = column["vector"]
        dims = vectors.type.list_size
        digests = b"".join(column["chunk_digest"].to_pylist())
        yield (
            head,
            ExportBlock(
                tuple(_key(column[name]) for name in key_columns(names)),
                column["chunk_no"].to_numpy(),
                column["start_offset"].to_numpy(),
                column["stop_offset"].to_numpy(),
                np.frombuffer(digests, np.uint8).reshape(table.num_rows, -1),
                column["present"].to_numpy(),
                column["truncated"].to_numpy(zero_copy_only=False),
                vectors.flatten().to_numpy().reshape(table.num_rows, dims),
            ),
        )


def _key(column: pa.Array) -> KeyValues:
    return column.to_numpy() if pa.types.is_integer(column.type) else np.array(column.to_pylist(), dtype=np.str_)


def read_npz(file: IO[bytes], names: Sequence[str]) -> Iterator[tuple[Mapping[str, object], ExportBlock]]:
    """Yield the file's head and its only block."""
    with np.load(file, allow_pickle=False) as arrays:
        head = json.loads(str(arrays[HEAD]))
        yield head, ExportBlock(tuple(arrays[name] for name in key_columns(names)), *(arrays[name] for name in COLUMNS))


class HashingFile(io.RawIOBase):
    """Passes bytes on, counting and digesting them; what is written is never changed again."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        """It is for writing."""
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        """Write all of it."""
        view = memoryview(data).cast("B")
        self._hash.update(view)
        self._file.write(cast("bytes", view))
        self.size += len(view)
        return len(view)

    def tell(self) -> int:
        """How many bytes were written."""
        return self.size

    @property
    def digest(self) -> str:
        """sha256 of all bytes so far."""
        return self._hash.hexdigest()

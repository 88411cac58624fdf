"""What a run would cost, before it is run: counted from the source, timed and weighed on a sample."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from vector_assets.embedding.encoding import token_spans_of
from vector_assets.embedding.layout import chunk_rule
from vector_assets.embedding.text import row_chunks, row_input
from vector_assets.encoder.image.decode import is_readable
from vector_assets.encoder.open import open_encoder, store_untrained
from vector_assets.index.size_planner import plan_index
from vector_assets.records import Encoder, Input, Value
from vector_assets.runtime.machine import machine
from vector_assets.source.token_chunks import TokenSpans
from vector_assets.spec import Collection, Space
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.estimates import measure_storage, time_encoder
from vector_assets.stores.lexical.estimating import WordsTimed, time_words
from vector_assets.stores.planned_changes import Changes, planned_changes
from vector_assets.stores.planned_rows import planned_rows
from vector_assets.stores.revisions import space_settings
from vector_assets.stores.workspace import Workspace

# What reading and storing take beside the encoding, which shares the cores with them; see benchmarks/plan_accuracy.py.
ROW_SECONDS = 0.0005


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows that would be encoded, the time that takes here, and the space it needs.

    ``seconds`` are those of the embeddings stage: ``start_seconds`` until the encoders are ready, and the rows. They
    are None, and so is ``rows_per_second``, where no row could be looked at: messages that nobody has taken yet.
    ``table_bytes`` and ``index_bytes`` are those of the vectors that are added. ``words_bytes`` is scaled from
    the sample too.
    """

    rows: int
    encode: int
    chunks: int
    rows_per_second: float | None
    start_seconds: float
    seconds: float | None
    table_bytes: int
    index_bytes: int
    trains: tuple[str, ...]
    changes: Changes
    index: str | None  # how vectors will be stored and indexed, and why; None where their width is not known yet
    words: int  # rows whose words would be cut for BM25, in the seconds above; 0 without an index of words
    words_bytes: int  # of the index of words that is added
    truncated: int  # of the chunks, those longer than their encoder's limit of tokens: as many as in a sample
    load: float  # processes that wanted to run, over the cores there are: above 1 the seconds may be half or twice


def plan(workspace: Workspace, collection: Collection) -> Plan:
    """Count what the next run would encode; time a sample with the encoders that it would use, store a sample of rows.

    Training, when it is due, is named and not timed: it stops when validation stops improving.
    """
    store = CollectionStore(workspace, collection)
    found = planned_rows(store)
    load = os.getloadavg()[0] / machine().cores
    counts = [0] * len(found.sample)
    dims, start, each, truncated = 0, 0.0, 0.0, 0.0
    for name, space in collection.spaces.items():
        opener = cache(partial(_loader, workspace, collection, name, space))
        tokens = token_spans_of(opener()(), name) if space.chunk.by == "tokens" and found.sample else None
        texts = [_inputs([row[name] for name in space.fields], space, tokens) for row in found.sample]
        counts = [max(count, len(cut)) for count, cut in zip(counts, texts, strict=True)]
        drawn = [text for cut in texts for text in cut if isinstance(text, str) or is_readable(text)]
        if drawn and found.encode:
            timed = time_encoder(opener(), drawn)
            dims += timed.dims
            start += timed.start_seconds
            each += timed.seconds * len(drawn) / len(texts)
            truncated = max(truncated, timed.truncated)
    chunks = round(found.encode * sum(counts) / len(counts)) if counts else found.encode
    each += ROW_SECONDS
    cutting = WordsTimed(0, 0)
    if collection.lexical and found.words:
        cutting = time_words(workspace.database, collection.lexical, found.sample)
    spent, busiest = found.encode * each + found.words * cutting.seconds, max(found.encode, found.words)
    known = bool(found.sample) or not (found.encode or found.words)
    width = dims or (known_dims(store) or 0)
    planned = plan_index(
        collection.index, rows=max(chunks, found.rows), dims=width, where=f"collection {collection.name}"
    )
    stored = measure_storage(
        workspace.database, chunks if dims else 0, dims=dims, plan=planned, metric=collection.index.metric,
        keys=found.keys,
        beside=["".join(str(row[name]) for name in collection.filters) for row in found.sample],
    )  # fmt: skip
    return Plan(
        rows=found.rows,
        encode=found.encode,
        chunks=chunks,
        truncated=round(chunks * truncated),
        rows_per_second=(busiest / spent if busiest else 1 / each) if known else None,
        start_seconds=start,
        seconds=start + spent if known else None,
        table_bytes=stored.table_bytes,
        index_bytes=stored.index_bytes,
        words=found.words,
        words_bytes=round(found.words * cutting.row_bytes),
        trains=tuple(name for name, space in collection.spaces.items() if space.train and not _is_trained(store, name)),
        changes=planned_changes(workspace, collection),
        load=load,
        index=planned.said if width else None,
    )


def known_dims(store: CollectionStore) -> int | None:
    """The width of the vectors that there are; None where there are none."""
    return next((generation.dims for generation in store.all()), None)


def _inputs(values: list[Value], space: Space, tokens: TokenSpans | None) -> list[Input]:
    """What a space encodes of a row: its text, or the chunks of it, or its image."""
    rule = chunk_rule(space)
    if rule is None:
        return [found] if (found := row_input(values, space.kind)) else []
    text, cut = row_chunks(values, rule, tokens)
    return [text[start:stop] for start, stop in cut.spans]


def _loader(workspace: Workspace, collection: Collection, name: str, space: Space) -> Callable[[], Encoder]:
    """Find, or fetch, the checkpoint that a space would use; what is returned loads its encoder."""
    stored = workspace.checkpoints.encoder(collection.name, name)
    if stored:
        folder = workspace.checkpoints.get(stored.checkpoint).folder
    else:
        folder = store_untrained(
            space.encoder, workspace.checkpoint_folder,
            folder=collection.folder, models=workspace.tracked_model,
            settings=space_settings(workspace, collection, name),
        ).folder  # fmt: skip
    return lambda: open_encoder(folder)


def _is_trained(store: CollectionStore, space: str) -> bool:
    stored = store.workspace.checkpoints.encoder(store.collection.name, space)
    return bool(stored and stored.training_key)

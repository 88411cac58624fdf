"""The two sides of a drift check: a fixed sample of what an encoder was trained or first used on, and what is now.

Rows are compared one vector each: of a row in chunks, one chunk that its key chooses. So are training texts, which are
cut by the same rule.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import numpy as np
from psycopg import sql
from psycopg.types.json import Jsonb

from vector_assets.embedding.encoding import token_spans_of
from vector_assets.encoder.image.samples import ImageText, from_text
from vector_assets.index.drift import MINIMUM
from vector_assets.records import Encoder, Generation, Input, Key, Pair, Part, Vectors
from vector_assets.source.chunking import chunk_spans
from vector_assets.source.keys import row_key
from vector_assets.source.token_chunks import TokenSpans
from vector_assets.stores.arrays import to_array
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.pictures import still_there
from vector_assets.stores.relation import columns

_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Sample:
    """One side. ``origin`` says in words where it is from; rows that came after ``since`` are new to it."""

    origin: str
    version: str
    since: datetime
    keys: frozenset[str]
    vectors: Vectors


class DriftSamples:
    """Draws, keeps and reads samples of one collection."""

    def __init__(self, store: CollectionStore, count: int) -> None:
        """``count`` is how many vectors a side has at most."""
        self.store = store
        self.count = count
        self.database = store.workspace.database
        self.collection = store.collection.name

    def corpus(self, generation: Generation, part: Part) -> Sample:
        """Return the rows that a checkpoint was trained on, else those that it was first used on."""
        training_set = self.training_set(part)
        version = f"{training_set or 'first'} {self.count}"
        kept = self._kept(generation, part, "corpus", version)
        if kept:
            return kept
        since = self._now()
        if training_set is None:
            keys, vectors = self.rows(generation, part)
            sample = Sample("rows first indexed", version, since, frozenset(keys), vectors)
        else:
            pieces = self._pieces(training_set, generation, part)
            vectors = self._encoded(generation, part, [piece for _, piece in pieces])
            keys = [key for key, _ in pieces if key]
            sample = Sample(f"training set {training_set[:12]}", version, since, frozenset(keys), vectors)
        return self._keep(generation, part, "corpus", sample)

    def questions(self, generation: Generation, part: Part) -> Sample | None:
        """Return the questions of the training, else those that are judged; None where there are neither."""
        training_set = self.training_set(part)
        texts = [text for text, _ in self._texts(training_set, "query")] if training_set else []
        origin = f"questions of training set {str(training_set)[:12]}"
        if not texts:
            texts, origin = [query.text for query in self.store.judged()][: self.count], "judged questions"
        if not texts:
            return None
        version = f"{hashlib.sha256(chr(0).join(texts).encode()).hexdigest()} {self.count}"
        kept = self._kept(generation, part, "queries", version)
        if kept:
            return kept
        vectors = self.asked(generation, part, texts)
        return self._keep(generation, part, "queries", Sample(origin, version, self._now(), frozenset(), vectors))

    def asked(self, generation: Generation, part: Part, texts: Sequence[str]) -> Vectors:
        """Encode questions for one part of the vector, as search does."""
        encoder = self._encoder(generation, part)
        asked: Sequence[Input] = [text for text in texts if not isinstance(text, ImageText)]
        if part.kind == "image":
            asked = [from_text(text) for text in texts if isinstance(text, ImageText)]
        found = [encoder.encode_queries(asked[at : at + _AT_ONCE]) for at in range(0, len(asked), _AT_ONCE)]
        return np.concatenate(found) if found else np.zeros((0, part.dims), np.float32)

    def training_set(self, part: Part) -> str | None:
        """Return the digest of what a checkpoint was last trained from in this space; None when untrained."""
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose(
                    "select training_set from {ops}.trainings where collection = %s and space = %s "
                    "and checkpoint = %s order by created_at desc limit 1"
                ),
                (self.collection, part.space, part.checkpoint),
            ).fetchone()
        return str(row[0]) if row else None

    def rows(
        self,
        generation: Generation,
        part: Part,
        *,
        since: datetime | None = None,
        without: frozenset[str] = frozenset(),
    ) -> tuple[list[str], Vectors]:
        """Return keys and vectors of rows, chosen by the hash of their key: of all, or of those embedded ``since``.

        ``without`` leaves rows out by their JSON row key.
        """
        relation = self.store.relation
        key = sql.SQL("json_build_array({})::text").format(columns(relation.key_names, "g"))
        query = sql.SQL(
            "with chosen as (select {own}, g.chunk_count, hashtextextended({key}, 11) as place from {rows} g "
            "where g.state = 'done' and {new} order by place limit {most}) "
            "select {keys}, v.vector from chosen g join {vectors} v on {same} "
            "and v.chunk_no = (g.place & 2147483647) % g.chunk_count where v.present & {bit} <> 0 order by g.place"
        ).format(
            own=columns(relation.key_names, "g"),
            key=key,
            rows=self.store.workspace.embeddings.rows_table(generation),
            new=sql.SQL("g.embedded_at > {}").format(sql.Literal(since)) if since else sql.SQL("true"),
            most=sql.Literal(self.count + len(without)),
            keys=relation.stored_key("g"),
            vectors=self.store.workspace.embeddings.vectors_table(generation),
            same=relation.same_stored("g", "v"),
            bit=sql.Literal(1 << generation.parts.index(part)),
        )
        names: list[str] = []
        vectors: list[Vectors] = []
        with self.database.connect() as connection, connection.cursor(name="drift") as cursor:
            cursor.itersize = 500
            for row in cursor.execute(query):
                name = row_key(cast(Key, row[:-1]))
                if name not in without:
                    names.append(name)
                    vectors.append(to_array(row[-1])[part.place])
                if len(names) == self.count:
                    break
        return names, np.asarray(vectors, np.float32).reshape(len(vectors), part.dims)

    # -- what is kept

    def _kept(self, generation: Generation, part: Part, kind: str, version: str) -> Sample | None:
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose(
                    "select origin, version, since, keys, vectors, generation from {ops}.drift_samples "
                    "where collection = %s and space = %s and checkpoint = %s and kind = %s and version = %s"
                ),
                (self.collection, part.space, part.checkpoint, kind, version),
            ).fetchone()
        if row is None:
            return None
        vectors = np.frombuffer(bytes(cast(bytes, row[4])), "<f4").astype(np.float32).reshape(-1, part.dims)
        keys = frozenset(cast(list[str], row[3]))
        sample = Sample(str(row[0]), str(row[1]), cast(datetime, row[2]), keys, vectors)
        if row[5] == generation.number:
            return sample
        # The same checkpoint in another table, whose rows were all written anew: what is new counts from here.
        return self._keep(generation, part, kind, Sample(sample.origin, version, self._now(), keys, vectors))

    def _keep(self, generation: Generation, part: Part, kind: str, sample: Sample) -> Sample:
        """Keep a sample; one too small to say anything is drawn anew next time."""
        if len(sample.vectors) < MINIMUM:
            return sample
        with self.database.connect() as connection:
            connection.execute(
                self.database.compose(
                    "insert into {ops}.drift_samples (collection, space, checkpoint, kind, origin, version, "
                    "generation, since, keys, dims, vectors) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
                    "on conflict (collection, space, checkpoint, kind) do update set origin = excluded.origin, "
                    "version = excluded.version, generation = excluded.generation, since = excluded.since, "
                    "keys = excluded.keys, dims = excluded.dims, vectors = excluded.vectors, taken_at = now()"
                ),
                (
                    self.collection, part.space, part.checkpoint, kind, sample.origin, sample.version,
                    generation.number, sample.since, Jsonb(sorted(sample.keys)), part.dims,
                    sample.vectors.astype("<f4").tobytes(),
                ),
            )  # fmt: skip
            # Samples of checkpoints that no table has any more are of no use.
            connection.execute(
                self.database.compose(
                    "delete from {ops}.drift_samples s where collection = %s and not exists (select from "
                    "{ops}.generations g where g.collection = s.collection and g.dropped_at is null "
                    "and g.state <> 'failed' and g.layout @> jsonb_build_array(jsonb_build_object("
                    "'space', s.space, 'checkpoint', s.checkpoint)))"
                ),
                (self.collection,),
            )
        return sample

    # -- inside

    def _texts(self, training_set: str, column: str) -> list[tuple[str, str]]:
        """Return different texts of the training split with a row key ("" where there is none), chosen by hash."""
        query = self.database.compose(
            "select {said}, min(row_key) from {ops}.training_pairs where training_set = {digest} and split = 'train' "
            "and btrim({said}) <> '' group by {said} order by hashtextextended({said}, 11) limit {most}",
            said=sql.Identifier(column),
            digest=sql.Literal(training_set),
            most=sql.Literal(self.count),
        )
        with self.database.connect() as connection:
            return [(str(text), str(key)) for text, key in connection.execute(query).fetchall()]

    def _pieces(self, training_set: str, generation: Generation, part: Part) -> list[tuple[str, Input]]:
        """Return what an encoder reads of some training texts or images, with their row keys."""
        found = self._texts(training_set, "document")
        if part.kind == "text":
            counted = part.chunk is not None and part.chunk.by == "tokens"
            tokens = token_spans_of(self._encoder(generation, part), part.space) if counted else None
            return [(key, piece) for text, key in found if (piece := _piece(text, part, tokens))]
        of = self.store
        pairs = [Pair("", name, "", "train", key) for name, key in found]
        there = still_there(of.workspace, of.collection, part.space, of.relation, pairs)
        return [(pair.key, image) for pair, image in there]

    def _encoded(self, generation: Generation, part: Part, texts: Sequence[Input]) -> Vectors:
        encoder = self._encoder(generation, part)
        found = [encoder.encode_documents(texts[at : at + _AT_ONCE]).vectors for at in range(0, len(texts), _AT_ONCE)]
        return np.concatenate(found) if found else np.zeros((0, part.dims), np.float32)

    def _encoder(self, generation: Generation, part: Part) -> Encoder:
        return self.store.encoders(generation)()[part.space]

    def _now(self) -> datetime:
        with self.database.connect() as connection:
            row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        return cast(datetime, row[0])


def _piece(text: str, part: Part, tokens: TokenSpans | None) -> str:
    """Return what of a training text stands for it: all of it, or one of its chunks, chosen by its digest."""
    if part.chunk is None:
        return text
    spans = chunk_spans(text, part.chunk, tokens=tokens)
    if not spans:
        return ""
    start, stop = spans[int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) % len(spans)]
    return text[start:stop]

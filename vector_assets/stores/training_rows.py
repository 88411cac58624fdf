"""What a declaration's training set is drawn from: the collection's rows, files beside them, a log of clicks."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import cast

from psycopg import sql

from vector_assets.embedding.text import row_text
from vector_assets.encoder.image.decode import decode
from vector_assets.encoder.image.perceptual import perceptual_hash
from vector_assets.errors import NotEncodable, SourceError
from vector_assets.records import Key, Value
from vector_assets.source.clicks import NEEDED, Impression, as_impression, read_clicks
from vector_assets.source.columns import require_columns, text_of
from vector_assets.source.judged import read_graded
from vector_assets.source.keys import parse_key, row_key
from vector_assets.source.pairs_file import FilePair, collect_labels, read_labels, read_pairs, read_triplets
from vector_assets.source.sql_connection import read_columns, read_url
from vector_assets.source.values import convert
from vector_assets.spec import UNLABELLED, Clicks, Collection, FieldPairs, LabelsFile, Relevance, Training
from vector_assets.spec.labels import Outside
from vector_assets.stores.pictures import name_of
from vector_assets.stores.relation import Relation
from vector_assets.stores.workspace import Workspace
from vector_assets.training.clicks import pairs_from_clicks
from vector_assets.training.pair_rows import PairRow
from vector_assets.training.texts import hash_of, text_digest
from vector_assets.training.unlabelled import asked_by_own_words

#: More than this would weigh more than a million times what grade 1 does: a column of ids, not of grades.
_HIGHEST_GRADE = 20


class TrainingRows:
    """Streams the rows of one space's training set. ``report`` is filled while they are read."""

    def __init__(self, workspace: Workspace, collection: Collection, space: str, training: Training) -> None:
        """Read nothing yet."""
        self._workspace, self._collection, self._training = workspace, collection, training
        self._fields = collection.spaces[space].fields
        self._of_images = collection.spaces[space].kind == "image"
        self.report: dict[str, float] = {}

    def read(self) -> Iterator[PairRow]:
        """Stream the rows. Raises SourceError with file, line and what was expected."""
        training, resolve = self._training, self._collection.resolve
        timed = training.split.by_time is not None
        if training.objective in UNLABELLED:
            yield from asked_by_own_words(self.texts(), seed=training.seed)
        elif isinstance(training.labels, LabelsFile):
            yield from self._labelled_outside(training.labels)
        elif training.labels is not None:
            yield from self._labelled_by_field(training.labels)
        elif training.relevance is not None:
            yield from self._judged(training.relevance)
        elif training.clicks is not None:
            yield from self._clicked(training.clicks)
        elif training.triplets is not None:
            for one, key in self._with_rows(read_triplets(resolve(training.triplets), timed=timed)):
                group = one.group or one.query  # what answers one query stays together
                yield PairRow(key, one.query, one.document, group, negatives=one.negatives, time=one.time)
        elif isinstance(training.pairs, FieldPairs):
            for row, asks in self._rows(training.pairs.query):
                yield PairRow(row.key, str(asks or ""), row.document, row.group, time=row.time)
        else:
            assert training.pairs is not None
            for one, key in self._with_rows(read_pairs(resolve(training.pairs), timed=timed)):
                # By what the line says, not by a row that was found: rows come and go, and a pair stays in its split.
                group = one.group or one.id or hash_of(0, one.document.strip())
                yield PairRow(key, one.query, one.document, group, time=one.time)

    def texts(self) -> Iterator[PairRow]:
        """Stream the text of every row, with its group and time where rows have one of the split's kind."""
        for row, _ in self._rows():
            yield row

    def _labelled_by_field(self, field: str) -> Iterator[PairRow]:
        for row, label in self._rows(field):
            yield replace(row, label="" if label is None else str(label))

    def _labelled_outside(self, declared: LabelsFile) -> Iterator[PairRow]:
        where, key = self._place(declared, "labels"), self._relation.key
        if declared.file:
            labels = read_labels(where, key)
        else:
            with closing(self._records(declared, where, ("id", "label"))) as records:
                labels = collect_labels(
                    (
                        (place, text_of("id", values["id"], place), text_of("label", values["label"], place))
                        for place, values in records
                    ),
                    key,
                )
        named, ambiguous = len(labels), 0
        for row, _ in self._rows():
            label = labels.pop(row.key, "")
            if label is None:
                ambiguous += 1
            else:
                yield replace(row, label=label)
        self.report.update({"unknown_row": len(labels), "ambiguous": ambiguous})
        self._some_known(named - len(labels), named, where)

    def _with_rows(self, lines: Iterable[FilePair]) -> Iterator[tuple[FilePair, str]]:
        """Give each line of a file the key of the row that answers: the one that it names, or the first of its text.

        The key is "" where there is none; such a pair is learned from and counted, but no generation can be asked it.
        """
        pairs, relation = list(lines), self._relation
        named = [row_key(parse_key(one.id, relation.key, one.where)) if one.id else "" for one in pairs]
        digests = [b"" if one.id else text_digest(one.document) for one in pairs]
        ids, texts = set(named), set(digests)
        there: set[str] = set()
        first: dict[bytes, str] = {}
        for row, _ in self._rows():
            if row.key in ids:
                there.add(row.key)
            digest = text_digest(row.document)
            if digest in texts:
                first.setdefault(digest, row.key)
        unknown = 0
        for one, key, digest in zip(pairs, named, digests, strict=True):
            found = (key if key in there else "") if one.id else first.get(digest, "")
            unknown += not found
            yield one, found
        self.report["unknown_row"] = unknown

    def _judged(self, declared: Relevance) -> Iterator[PairRow]:
        """Stream a pair for each document judged high enough, weighing 2^grade - 1: what nDCG gains by it."""
        queries, qrels = self._collection.resolve(declared.queries), self._collection.resolve(declared.qrels)
        judged = read_graded(queries, qrels, self._relation.key)
        named = {key for one in judged for key in one.relevant}
        there = self._named(named)
        counts = dict.fromkeys(("unknown_row", "unknown_negative", "below_min_grade"), 0)
        for one in judged:
            wrong = sorted(key for key, grade in one.relevant.items() if grade <= 0)
            counts["unknown_negative"] += sum(key not in there for key in wrong)
            negatives = tuple(there[key].document for key in wrong if key in there)
            for key, grade in one.relevant.items():
                if grade > _HIGHEST_GRADE:
                    raise SourceError(
                        f"{qrels}: {one.id} and {key} have grade {grade:g}; expected {_HIGHEST_GRADE} at most"
                    )
                if 0 < grade < declared.min_grade:
                    counts["below_min_grade"] += 1
                elif grade > 0 and key not in there:
                    counts["unknown_row"] += 1
                elif grade > 0:
                    row = there[key]
                    yield PairRow(
                        key, one.text, row.document, one.id,
                        negatives=negatives, weight=2.0**grade - 1, time=row.time,
                    )  # fmt: skip
        self.report.update({"judged_queries": len(judged), **counts})
        self._some_known(len(there), len(named), qrels)

    def _clicked(self, declared: Clicks) -> Iterator[PairRow]:
        where = self._place(declared, "clicks")
        with closing(self._impressions(declared, where)) as impressions:
            found = pairs_from_clicks(impressions, declared, where)
        named = {key for pair in found.pairs for key in (pair.key, *pair.negatives)}
        there = self._named(named)
        counts = {"unknown_row": 0, "unknown_negative": 0}
        for pair in found.pairs:
            counts["unknown_negative"] += sum(key not in there for key in pair.negatives)
            if pair.key not in there:
                counts["unknown_row"] += 1
                continue
            negatives = tuple(there[key].document for key in pair.negatives if key in there)
            document = there[pair.key].document
            yield PairRow(
                pair.key, pair.query, document, pair.query, negatives=negatives, weight=pair.weight, time=pair.time
            )
        self.report.update({**counts, **found.report})
        self._some_known(len(there), len(named), where)

    def _impressions(self, declared: Clicks, where: str) -> Generator[Impression]:
        key, timed = self._relation.key, self._training.split.by_time is not None
        if declared.file:
            yield from read_clicks(where, key, timed=timed)
            return
        needed = (*NEEDED, "time") if timed else NEEDED
        with closing(self._records(declared, where, needed)) as records:
            for place, values in records:
                yield as_impression(values, key, place, timed=timed)

    def _place(self, declared: Outside, name: str) -> str:
        return self._collection.resolve(declared.file) if declared.file else f"{self._collection.name}: train.{name}"

    def _records(
        self, declared: Outside, where: str, needed: Sequence[str]
    ) -> Generator[tuple[str, Mapping[str, object]]]:
        """Stream the rows of a table or select by column, each with its place for messages."""
        ours = self._workspace.addresses.database.url.set(drivername="postgresql+psycopg")
        url = read_url(declared.url, where) if declared.url else ours
        with closing(read_columns(url, where, table=declared.table, query=declared.query)) as rows:
            for number, values in enumerate(rows, start=1):
                if number == 1:
                    require_columns(needed, list(values), where)
                yield f"{where}: row {number}", values

    @property
    def _relation(self) -> Relation:
        return self._workspace.raw.relation(self._collection)

    def _named(self, keys: set[str]) -> dict[str, PairRow]:
        """Return the rows of some JSON row keys, those that are there."""
        return {row.key: row for row, _ in self._rows() if row.key in keys}

    def _some_known(self, there: int, named: int, where: str) -> None:
        if named and not there:
            raise SourceError(
                f"{where}: none of the {named} rows that it names is in {self._collection.name}; "
                "expected ids of its rows"
            )

    def _rows(self, field: str | None = None) -> Iterator[tuple[PairRow, Value]]:
        """Stream the collection's rows without a query, each with the value of a field."""
        split = self._training.split
        by, by_time = (None, None) if self._training.from_file else (split.by, split.by_time)
        wanted = [name for name in (field, by, by_time) if name is not None]
        relation = self._relation
        key, read = relation.source_key("r"), relation.inputs([*wanted, *self._fields], "r")
        query = sql.SQL("select {}, {} from {} r order by {}").format(key, read, relation.table, key)
        size = len(relation.key)
        with self._workspace.database.connect() as connection, connection.cursor(name="pairs") as cursor:
            cursor.itersize = 32 if self._of_images else 5000
            for found in cursor.execute(query):
                values = cast(list[Value], list(found[size:]))
                of_field = values.pop(0) if field is not None else None
                group = str(values.pop(0) or "") if by is not None else ""
                time = values.pop(0) if by_time is not None else None
                document, looks = self._document(values, needed=field is None or of_field is not None)
                row = PairRow(
                    row_key(cast(Key, found[:size])), "", document, group, looks=looks,
                    time=cast(datetime | None, convert(time, "datetime")),  # a column in place may be a date
                )  # fmt: skip
                yield row, of_field

    def _document(self, values: Sequence[Value], *, needed: bool) -> tuple[str, int | None]:
        """Return a row's text, or name and perceptual hash of its image; "" where there is none, or a broken one."""
        if not self._of_images:
            return row_text(values), None
        (image,) = values
        if not needed or not isinstance(image, bytes):
            return "", None
        try:
            return name_of(image), perceptual_hash(decode(image))
        except NotEncodable:
            self.report["broken_image"] = self.report.get("broken_image", 0) + 1
            return "", None

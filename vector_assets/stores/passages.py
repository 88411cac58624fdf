"""Judged passages against the rows of today, and what each method of search cites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vector_assets.embedding.text import row_text
from vector_assets.index.passages import Cited, PassageRecall, Span, locate, passage_recall
from vector_assets.records import Generation, JudgedQuery
from vector_assets.search.hits import Hit
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.row_texts import values_of


@dataclass(frozen=True, slots=True)
class JudgedSpans:
    """Questions with judged passages, by id: row key to where they stand. ``gone`` counts passages that do not."""

    spans: Mapping[str, Mapping[str, tuple[Span, ...]]]
    gone: int = 0


def judged_spans(store: CollectionStore, live: Generation, judged: Sequence[JudgedQuery]) -> JudgedSpans:
    """Find the judged passages in their rows; none where live has no chunks, since a whole row cites nothing.

    A passage that does not stand in its row, or not any more, is not found by any search; its question stays.
    """
    asked = [query for query in judged if query.passages]
    if live.chunked is None or not asked:
        return JudgedSpans({})
    fields = list(live.parts[live.chunked].fields)
    keys = {key for query in asked for key in query.passages}
    rows = values_of(store.workspace.database, store.relation, keys, fields)
    texts = {key: row_text(values) for key, values in rows.items()}
    gone = 0
    found: dict[str, dict[str, tuple[Span, ...]]] = {}
    for query in asked:
        spans: dict[str, tuple[Span, ...]] = {}
        for key, passages in query.passages.items():
            places = [locate(texts.get(key, ""), passage) for passage in passages]
            gone += places.count(None)
            spans[key] = tuple(place for place in places if place is not None)
        found[query.id] = spans
    return JudgedSpans(found, gone)


def cited_recall(first: Mapping[str, Sequence[Hit]], judged: JudgedSpans) -> PassageRecall | None:
    """Score what one method's first hits cite; None where nobody judged a passage, or none is cited, as by bm25."""
    hits = [first.get(query, ()) for query in judged.spans]
    if not any(hit.chunk for each in hits for hit in each):
        return None
    cited = [
        [Cited(hit.key, Span(hit.chunk.start, hit.chunk.stop) if hit.chunk else None) for hit in each] for each in hits
    ]
    return passage_recall(cited, list(judged.spans.values()))

"""From hits to what may be cited of them: the row's text, or those of its chunks that are near the question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vector_assets.embedding.text import row_text
from vector_assets.records import Generation, Vectors
from vector_assets.search.context import Excerpt
from vector_assets.search.hits import Hit, passage
from vector_assets.search.rerank import text_fields
from vector_assets.search.stages import row_id
from vector_assets.search.stored import VectorReader


def row_texts(generation: Generation, hits: Sequence[Hit]) -> dict[str, str]:
    """Return the text of each row by its key: what the chunked space reads, else all that spaces of text read."""
    chunked = generation.chunked
    fields = text_fields(generation) if chunked is None else list(generation.parts[chunked].fields)
    return {hit.key: row_text([hit.row[name] for name in fields]) for hit in hits}


def excerpts(
    reader: VectorReader,
    generation: Generation,
    hits: Sequence[Hit],
    question: Vectors | None,
    *,
    by_cosine: bool,
) -> list[Excerpt]:
    """Return what may be cited of some hits, best first.

    A row that is not cut into chunks is cited whole. Else its best chunk is, and every other that is no farther from
    the question than the farthest of these best ones: a row may answer in more than one place. They come nearest
    first (``by_cosine``), or row by row where the rows were ranked by something else than cosines. A row without
    vectors, which words may find, is cited from its text, where it has one that is cited.
    """
    texts = row_texts(generation, hits)
    if generation.chunked is None or not hits:
        return [Excerpt(hit.id, hit.key, texts[hit.key], hit.score, 0, len(texts[hit.key]), hit.stale) for hit in hits]
    if question is None:
        return [_of_hit(hit, texts) for hit in hits]
    found = reader.vectors(generation, ids=tuple(map(row_id, hits)), question=question)["key"]
    cosines = found.scores
    near = np.flatnonzero(np.isfinite(cosines) & (found.chunks >= 0))
    best: dict[int, float] = {}
    for at in near.tolist():
        place = int(found.places[at])
        best[place] = max(best.get(place, -np.inf), float(cosines[at]))
    bar = min(best.values(), default=1.0)
    part = generation.parts[generation.chunked]
    ranked: list[tuple[tuple[float, float], Excerpt]] = [
        ((float(place), 0.0), _of_hit(hit, texts))
        for place, hit in enumerate(hits)
        if place not in best and texts[hit.key].strip()
    ]
    for at in near.tolist():
        hit = hits[int(found.places[at])]
        shown = hit.chunk is not None and hit.chunk.number == int(found.chunks[at])
        if not (shown or cosines[at] >= bar):
            continue
        cut = passage(
            part, hit.row, number=int(found.chunks[at]), start=int(found.starts[at]), stop=int(found.stops[at]),
            digest=found.digests[at],
        )  # fmt: skip
        if cut is not None:
            one = Excerpt(hit.id, hit.key, cut.text, float(cosines[at]), cut.start, cut.stop, cut.stale)
            first = 0.0 if by_cosine else float(found.places[at])
            ranked.append(((first, -float(cosines[at])), one))
    return [one for _, one in sorted(ranked, key=lambda pair: (pair[0], pair[1].key, pair[1].start))]


def _of_hit(hit: Hit, texts: Mapping[str, str]) -> Excerpt:
    text, chunk = texts[hit.key], hit.chunk
    if chunk is None:
        return Excerpt(hit.id, hit.key, text, hit.score, 0, len(text), hit.stale)
    return Excerpt(hit.id, hit.key, chunk.text, hit.score, chunk.start, chunk.stop, chunk.stale)

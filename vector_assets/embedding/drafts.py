"""A row on its way to vectors: its inputs, its chunks, which old vectors still hold, and what is left to encode."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vector_assets.embedding.encoding import ROW_FAULTS, Coder
from vector_assets.embedding.text import row_chunks, row_input
from vector_assets.records import Chunk, EmbeddedRow, Encoded, Generation, Input, PendingRow, Vectors
from vector_assets.source.sentences import Span
from vector_assets.source.token_chunks import TokenSpans

# Vectors that are held at once; a row with more is held by itself.
CHUNKS_AT_ONCE = 1024
# A page of fewer rows is not worth cutting.
FEW = 16


@dataclass(slots=True)
class Draft:
    """One row. ``fresh`` counts the chunks whose text is encoded, ``encoded`` says whether anything is."""

    row: PendingRow
    inputs: tuple[Input, ...] = ()  # what each space reads; "" where there is nothing
    spans: tuple[Span, ...] = ()
    digests: tuple[bytes, ...] = ()
    own_text: bool = False  # its chunks are pieces of the chunked space's text
    at: int = 0  # place of its first vector in the group
    encoded: bool = False
    fresh: int = 0
    error: str = ""
    parsed: bool = True  # False of code that had to be cut as if it were prose

    @property
    def place(self) -> slice:
        """Its vectors in the group's."""
        return slice(self.at, self.at + len(self.spans))


def draft_groups(
    page: Sequence[PendingRow], generation: Generation, tokens: TokenSpans | None = None
) -> Iterator[list[Draft]]:
    """Cut a page into groups of half its rows, with at most CHUNKS_AT_ONCE vectors together.

    Halves, because one group is written while the next is encoded: both together are what a kill can lose.
    ``tokens`` are those of the chunked space's encoder, where its chunks are counted in them.
    """
    half = (len(page) + 1) // 2 if len(page) >= FEW else len(page)
    group: list[Draft] = []
    count = 0
    for row in page:
        draft = _draft(row, generation, tokens)
        if group and (len(group) == half or count + len(draft.spans) > CHUNKS_AT_ONCE):
            yield group
            group, count = [], 0
        draft.at = count
        count += len(draft.spans)
        group.append(draft)
    if group:
        yield group


def is_large(group: Sequence[Draft]) -> bool:
    """Tell whether a group is one row with more vectors than are held at once otherwise."""
    return len(group[0].spans) > CHUNKS_AT_ONCE


def _draft(row: PendingRow, generation: Generation, tokens: TokenSpans | None) -> Draft:
    try:
        inputs = [row_input(values, part.kind) for values, part in zip(row.inputs, generation.parts, strict=True)]
        chunked = generation.chunked
        whole = "\n".join(text for text in inputs if isinstance(text, str))
        images = [image for image in inputs if isinstance(image, bytes)]
        spans: Sequence[Span] = [(0, len(whole))] if whole.strip() or images else []
        own_text, parsed = False, True
        if chunked is not None:
            rule = generation.parts[chunked].chunk
            assert rule is not None
            text, cut = row_chunks(row.inputs[chunked], rule, tokens)
            # A row with nothing but its other spaces has one vector of those.
            own_text, spans, whole, parsed = bool(cut.spans), cut.spans or [(0, 0)] * bool(spans), text, cut.parsed
        digests = tuple(_digest(whole[start:stop], () if own_text else images) for start, stop in spans)
        return Draft(row, tuple(inputs), tuple(spans), digests, own_text, parsed=parsed)
    except ROW_FAULTS as error:
        return Draft(row, error=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")


def _digest(text: str, images: Sequence[bytes]) -> bytes:
    total = hashlib.sha256(text.encode())
    for image in images:
        total.update(b"\0" + hashlib.sha256(image).digest())
    return total.digest()


def encode_group(group: Sequence[Draft], generation: Generation, coder: Coder) -> list[EmbeddedRow]:
    """Encode what has to be; an input that cannot be encoded fails its row, and no other."""
    work = _Work.of(group, generation)
    for number in range(len(generation.parts)):
        work.fill(number, coder)
    work.scale()
    return [work.row(draft) for draft in group]


Target = tuple[Draft, slice]


@dataclass(slots=True)
class _Work:
    """The vectors of a group, filled part by part."""

    group: Sequence[Draft]
    generation: Generation
    vectors: Vectors
    present: NDArray[np.int64]
    truncated: NDArray[np.bool_]
    wanted: dict[Input, list[Target]] = field(default_factory=dict)

    @classmethod
    def of(cls, group: Sequence[Draft], generation: Generation) -> _Work:
        count = sum(len(draft.spans) for draft in group)
        return cls(
            group, generation, np.zeros((count, generation.dims), np.float32), np.zeros(count, np.int64),
            np.zeros(count, np.bool_),
        )  # fmt: skip

    def fill(self, number: int, coder: Coder) -> None:
        """Take over what still holds of one part, and encode each other input once, however often it stands."""
        self.wanted = {}
        for draft in self.group:
            if draft.error:
                continue
            if self.generation.parts[number].chunk and draft.own_text:
                self._chunks(draft, number)
            elif isinstance(draft.inputs[number], bytes) or draft.inputs[number]:
                self._whole(draft, number)
        if not self.wanted:
            return
        part = self.generation.parts[number]
        inputs = list(self.wanted)

        def store(start: int, encoded: Encoded) -> None:
            for place, wanted in enumerate(inputs[start : start + len(encoded.vectors)]):
                for _, target in self.wanted[wanted]:
                    self._put(number, target, encoded.vectors[place], bool(encoded.truncated[place]))

        for place, error in coder.encode(part, inputs, store).items():
            for draft, _ in self.wanted[inputs[place]]:
                draft.error = error

    def _chunks(self, draft: Draft, number: int) -> None:
        known = draft.row.kept_chunks(number)
        place = draft.row.places[number] if known else None
        text = str(draft.inputs[number])
        for at, ((start, stop), digest) in enumerate(zip(draft.spans, draft.digests, strict=True), start=draft.at):
            old = known.get(digest)
            if old is not None and place is not None:
                self._put(number, slice(at, at + 1), _unit(old.vector[place]), old.truncated)
            else:
                self.wanted.setdefault(text[start:stop], []).append((draft, slice(at, at + 1)))
                draft.encoded = True
                draft.fresh += 1

    def _whole(self, draft: Draft, number: int) -> None:
        """A part of the whole row, the same on each of its chunks."""
        kept = draft.row.kept(number)
        if kept is not None:
            self._put(number, draft.place, _unit(kept), all(old.truncated for old in draft.row.old))
            return
        self.wanted.setdefault(draft.inputs[number], []).append((draft, draft.place))
        draft.encoded = True
        if not draft.own_text:
            draft.fresh = 1

    def _put(self, number: int, target: slice, vector: Vectors, truncated: bool) -> None:
        self.vectors[target, self.generation.parts[number].place] = vector
        self.present[target] |= 1 << number
        self.truncated[target] |= truncated

    def scale(self) -> None:
        """Scale vectors to length 1, so that a row with fewer parts is not a shorter vector. Zero rows stay zero."""
        norms = np.sqrt(np.einsum("ij,ij->i", self.vectors, self.vectors))  # without a copy of all vectors
        norms[norms == 0] = 1
        self.vectors /= norms[:, None]

    def row(self, draft: Draft) -> EmbeddedRow:
        """Return the outcome for one row."""
        if draft.error:
            return EmbeddedRow(draft.row, "failed", error=draft.error)
        if not draft.spans:
            return EmbeddedRow(draft.row, "empty")
        chunks = tuple(
            Chunk(number, digest, start, stop, self.vectors[at], int(self.present[at]), bool(self.truncated[at]))
            for number, (at, (start, stop), digest) in enumerate(
                zip(range(draft.at, draft.place.stop), draft.spans, draft.digests, strict=True)
            )
        )
        return EmbeddedRow(draft.row, "done", chunks)


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return scaled

"""A question as a vector: the parts that read what was asked, side by side as rows have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from vector_assets.errors import UserError
from vector_assets.records import Encoder, Generation, Kind, Vectors


def question_vectors(
    generation: Generation,
    encoder: Callable[[str], Encoder],
    *,
    texts: Sequence[str] = (),
    images: Sequence[bytes] = (),
) -> Vectors:
    """Encode questions of texts, of images, or of both (as many of each): (n, dims), unit length.

    ``encoder`` returns that of a checkpoint. Parts that read what was not asked are zero, so they say nothing of which
    row is nearer. Raises UserError where no space reads a kind of what was asked.
    """
    asked: dict[Kind, Sequence[str] | Sequence[bytes]] = {}
    if len(texts):
        asked["text"] = texts
    if len(images):
        asked["image"] = images
    _refuse_unread(generation, asked)
    parts = [part for part in generation.parts if part.kind in asked]
    count = max((len(inputs) for inputs in asked.values()), default=0)
    vectors = np.zeros((count, generation.dims), dtype=np.float32)
    for part in parts:
        vectors[:, part.place] = encoder(part.checkpoint).encode_queries(asked[part.kind])
    scaled: Vectors = (vectors / np.sqrt(max(len(parts), 1))).astype(np.float32)
    return scaled


def _refuse_unread(generation: Generation, asked: Iterable[Kind]) -> None:
    kinds = {part.kind for part in generation.parts}
    for kind in asked:
        if kind not in kinds:
            what, instead = ("words", "with an image: --image FILE") if kind == "text" else ("an image", "with words")
            raise UserError(
                f"collection {generation.collection} cannot be asked with {what}: its spaces read {kinds.pop()}s only; "
                f"ask {instead}"
            )

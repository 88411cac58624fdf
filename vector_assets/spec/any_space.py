"""The kinds of space that a collection may have."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Tag

from vector_assets.spec.image import ImageSpace
from vector_assets.spec.space import TextSpace


def _kind(given: object) -> object:
    """Return what chooses the model: ``kind``, which a space of text may leave out."""
    return given.get("kind", "text") if isinstance(given, dict) else getattr(given, "kind", "text")


Space = Annotated[Annotated[TextSpace, Tag("text")] | Annotated[ImageSpace, Tag("image")], Discriminator(_kind)]

"""What a collection declares of its searches, with what is asked in its place."""

from __future__ import annotations

from collections.abc import Sequence

from vector_assets.encoder.text.cross import resolve_cross
from vector_assets.errors import UserError
from vector_assets.search.ask import Ask, FusionName, Method
from vector_assets.search.filters import Filter
from vector_assets.search.rerank import Reranking
from vector_assets.spec import Collection


def declared_ask(
    collection: Collection,
    text: str | None,
    *,
    image: bytes | None = None,
    k: int = 10,
    method: Method | None = None,
    fusion: FusionName | None = None,
    like: Sequence[str | int] = (),
    unlike: Sequence[str | int] = (),
    diverse: float | None = None,
    rerank: bool | None = None,
    filter: Filter | None = None,
    precision: float | None = None,
) -> Ask:
    """Return a question as asked, and as declared in ``search:`` where nothing is said (None).

    Raises UserError for a rerank that is asked for and not declared, EncoderError for one whose model is not here.
    """
    declared = collection.search
    if rerank and declared.rerank is None:
        raise UserError(
            f"collection {collection.name} declares no model to rerank with; expected "
            "search: {rerank: {model: ./folder}} in its declaration"
        )
    # A declared rerank has nothing to read where only an image or rows are asked for.
    wordless = text is None or image is not None  # as methods that look for words have
    wanted = rerank or (rerank is None and text is not None)
    return Ask(
        text,
        image,
        k=k,
        method=method or ("vector" if wordless and declared.method in ("bm25", "hybrid") else declared.method),
        fusion=fusion or declared.fusion,
        filter=filter,
        precision=precision,
        like=tuple(map(str, like)),
        unlike=tuple(map(str, unlike)),
        diverse=declared.diverse if diverse is None else diverse,
        c=declared.svm.c,
        rerank=reranking(collection) if wanted else None,
    )


def reranking(collection: Collection) -> Reranking | None:
    """Return the declared cross-encoder as a folder of this machine; raises EncoderError where it is not here."""
    declared = collection.search.rerank
    if declared is None:
        return None
    folder = resolve_cross(declared.model, folder=collection.folder)
    return Reranking(folder, declared.top, declared.max_tokens)

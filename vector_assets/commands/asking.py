"""Commands that ask: where collections stand, what is near a question, how good the answers are."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from vector_assets.commands.common import (
    CollectionArgument,
    JsonOption,
    PrecisionOption,
    ProjectOption,
    WhereOption,
    checked_method,
    checked_precision,
    open_client,
    out,
    print_json,
)
from vector_assets.commands.searching import (
    ContextOption,
    DiverseOption,
    FusionOption,
    LikeOption,
    RerankOption,
    SearchMethodOption,
    SetOption,
    UnlikeOption,
    budget,
    checked_fusion,
    context_json,
    show_context,
)
from vector_assets.errors import UserError


def status(
    collection: Annotated[
        str | None, typer.Argument(help="One collection; all when left out.", show_default=False)
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say where collections stand: rows, vectors, what is live, recall, decision."""
    from vector_assets.show.status import show_status

    client = open_client(project)
    chosen = [client.collection(collection)] if collection else client.collections()
    found = {each.spec.name: each.status() for each in chosen}
    if as_json:
        print_json({"collections": {name: dataclasses.asdict(each) for name, each in found.items()}})
    else:
        show_status(out, found)


def search(
    collection: CollectionArgument,
    query: Annotated[str | None, typer.Argument(help="What to look for, in words.", show_default=False)] = None,
    image: Annotated[
        str | None, typer.Option(help="An image to look for: a file or URL.", metavar="FILE", show_default=False)
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many hits.")] = 10,
    method: SearchMethodOption = None,
    fusion: FusionOption = None,
    where: WhereOption = None,
    like: LikeOption = None,
    unlike: UnlikeOption = None,
    diverse: DiverseOption = None,
    rerank: RerankOption = None,
    context: ContextOption = None,
    precision: PrecisionOption = None,
    set_: SetOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the rows nearest to a question, an image or rows that are liked, in the live generation."""
    from vector_assets.show.hits import hits_json, show_hits
    from vector_assets.stores.session_settings import read_settings

    if query is None and image is None and not like and not unlike:
        raise UserError("nothing is asked; expected a question in words, --image FILE, or --like ID")
    if query is not None and not query.strip():
        raise UserError("the question is empty; expected some text")
    if context is not None and (query is None or image is not None):
        raise UserError("--context cites what answers a question; expected one in words, and no image")
    asked: dict[str, Any] = {
        "k": k, "method": checked_method(method) if method else None, "like": like or (), "unlike": unlike or (),
        "diverse": diverse, "rerank": rerank, "where": where,
        "precision": checked_precision(precision), "fusion": checked_fusion(fusion) if fusion else None,
    }  # fmt: skip
    tokens = budget(context) if context is not None else None
    client = open_client(project, read_settings(set_ or ())).collection(collection)
    if tokens is not None:
        found = client.context(query, tokens=tokens, **asked)
        if as_json:
            print_json(context_json(found))
        else:
            show_context(out, found)
        return
    hits = client.search(query, image=image, **asked)
    if as_json:
        print_json(hits_json(hits))
    else:
        show_hits(out, hits)

"""Commands that ask: where collections stand, what is near a question, how good the answers are."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from vector_assets.commands.common import (
    CollectionArgument,
    JsonOption,
    MethodOption,
    PrecisionOption,
    ProjectOption,
    checked_method,
    checked_precision,
    open_client,
    out,
    print_json,
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
    from vector_assets.show import show_status

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
    method: MethodOption = "vector",
    precision: PrecisionOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the rows nearest to a question, an image or both, in the live generation."""
    from vector_assets.show import hits_json, show_hits

    chosen = checked_method(method)
    if query is None and image is None:
        raise UserError("nothing is asked; expected a question in words, or --image FILE")
    if query is not None and not query.strip():
        raise UserError("the question is empty; expected some text")
    hits = (
        open_client(project)
        .collection(collection)
        .search(query, image=image, k=k, method=chosen, precision=checked_precision(precision))
    )
    if as_json:
        print_json(hits_json(hits))
    else:
        show_hits(out, hits)

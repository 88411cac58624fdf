"""Commands that ask: where collections stand, what is near a question, how good the answers are."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from vector_assets.commands.common import (
    CollectionArgument,
    JsonOption,
    MethodOption,
    ProjectOption,
    WhereOption,
    checked_method,
    open_client,
    out,
    print_json,
)
from vector_assets.commands.searching import (
    ContextOption,
    DiverseOption,
    LikeOption,
    RerankOption,
    SearchMethodOption,
    UnlikeOption,
    budget,
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
    method: SearchMethodOption = None,
    where: WhereOption = None,
    like: LikeOption = None,
    unlike: UnlikeOption = None,
    diverse: DiverseOption = None,
    rerank: RerankOption = None,
    context: ContextOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the rows nearest to a question, an image or rows that are liked, in the live generation."""
    from vector_assets.show import hits_json, show_hits

    if query is None and image is None and not like and not unlike:
        raise UserError("nothing is asked; expected a question in words, --image FILE, or --like ID")
    if query is not None and not query.strip():
        raise UserError("the question is empty; expected some text")
    if context is not None and (query is None or image is not None):
        raise UserError("--context cites what answers a question; expected one in words, and no image")
    asked: dict[str, Any] = {
        "k": k, "method": checked_method(method) if method else None, "like": like or (), "unlike": unlike or (),
        "diverse": diverse, "rerank": rerank, "where": where,
    }  # fmt: skip
    tokens = budget(context) if context is not None else None
    client = open_client(project).collection(collection)
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


def evaluate(
    collection: CollectionArgument,
    queries: Annotated[str | None, typer.Option(help="JSONL with _id and text.")] = None,
    qrels: Annotated[str | None, typer.Option(help="TSV with query-id, corpus-id, score.")] = None,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Ask queries made from words of the rows: a stand-in for judged ones.")
    ] = False,
    method: MethodOption = "vector",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score live, the candidate and BM25 on judged queries: the given, the declared, or the held-out ones."""
    from vector_assets.show import show_arms

    chosen = checked_method(method)
    if chosen not in ("vector", "exact"):
        raise UserError(f"--method {method}: evaluate knows vector and exact")
    if bool(queries) != bool(qrels):
        raise UserError("--queries and --qrels belong together; give both or neither")
    if synthetic and queries:
        raise UserError("--synthetic makes its own queries; leave out --queries and --qrels")
    found = (
        open_client(project)
        .collection(collection)
        .evaluate(method=chosen, queries=queries, qrels=qrels, synthetic=synthetic)
    )
    if as_json:
        beside = {arm.arm: arm.record() for arm in found.arms}
        print_json(
            {
                **found.scores,
                "queries": found.queries,
                "generation": found.generation,
                "synthetic": found.synthetic,
                "arms": beside,
            }
        )
        return
    show_arms(out, found.arms)
    kind = "synthetic queries (made from words of the rows, judged by nobody)" if found.synthetic else "queries"
    out.print(f"{found.queries} {kind}, generation {found.generation}, method {found.method}", soft_wrap=True)

"""``vector-assets failures C [retry]``."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from vector_assets.commands.common import (
    CollectionArgument,
    JsonOption,
    ProjectOption,
    open_client,
    out,
    print_json,
)
from vector_assets.errors import UserError


def failures(
    collection: CollectionArgument,
    action: Annotated[
        str | None, typer.Argument(metavar="[retry]", help="retry: the next run takes them again.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to list, the newest first.")] = 100,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the rows that are set aside, with the reason; or have them taken again."""
    if action not in (None, "retry"):
        raise UserError(f"failures {collection} {action}: expected nothing or retry")
    client = open_client(project).collection(collection)
    if action == "retry":
        retried = client.retry_failures()
        if as_json:
            print_json(dataclasses.asdict(retried))
            return
        told = [f"{_rows(retried.rows, 'failed')} to be taken again"] if retried.rows else []
        told += [f"the source is read anew for {_rows(retried.unreadable, 'unreadable')}"] if retried.unreadable else []
        if told:
            then = f" by the next run: vector-assets materialize {collection}"
            out.print(" and ".join(told) + then, soft_wrap=True)
        if retried.lost:
            out.print(
                f"{_rows(retried.lost, 'unreadable')} of the queue: the messages were taken out of it; send them again",
                soft_wrap=True,
            )
        if not told and not retried.lost:
            out.print("nothing is set aside")
        return
    found, count = client.failures(limit=limit), client.workspace.failures.count(collection)
    if as_json:
        rows = [dataclasses.asdict(each) for each in found]
        print_json({"count": count, "failures": [{"row": row.pop("row_key"), **row} for row in rows]})
        return
    for each in found:
        times = "once" if each.attempts == 1 else f"{each.attempts} times"
        when = f"{each.last_at:%Y-%m-%d %H:%M}"
        out.print(f"{each.stage}  {each.row_key}  {when}, {times}: {each.error}", soft_wrap=True, markup=False)
    if not count:
        out.print(f"no row of {collection} is set aside")
        return
    number = "1 row" if count == 1 else f"{count:,} rows"
    out.print(f"{number} of {collection} set aside" + (f", {len(found):,} shown" if count > len(found) else ""))


def _rows(count: int, kind: str) -> str:
    return f"{count:,} {kind} row" + ("" if count == 1 else "s")

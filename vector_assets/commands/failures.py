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
        told = [f"{retried.rows:,} failed rows are taken again"] if retried.rows else []
        told += [f"the source is read anew for {retried.unreadable:,} unreadable rows"] if retried.unreadable else []
        then = f" by the next run: vector-assets materialize {collection}"
        out.print(" and ".join(told) + then if told else "nothing is set aside", soft_wrap=True)
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

"""Commands that change what is live: run the stages, promote, take back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vector_assets.commands.common import (
    CollectionArgument,
    JsonOption,
    ProjectOption,
    err,
    exit_with,
    open_client,
    out,
    print_json,
)
from vector_assets.errors import UserError

if TYPE_CHECKING:
    from vector_assets.index.swap import Swapped


def materialize(
    collection: CollectionArgument,
    stage: Annotated[
        list[str] | None,
        typer.Option(
            "--stage",
            help="Only these stages; repeat it. training_set draws anew; learning_curve, chunkings run only by name.",
        ),
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Compare every row with its vector, not only rows known to have changed.")
    ] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the stages of a collection in this process; the run is recorded and opens in the Dagster UI."""
    from vector_assets.assets.keys import ON_REQUEST, STAGES

    known = (*STAGES, *ON_REQUEST)
    unknown = [name for name in stage or [] if name not in known]
    if unknown:
        raise UserError(f"--stage {unknown[0]}: expected one of {', '.join(known)}")
    from vector_assets.show.runs import launched_json, show_launched, shown_progress

    client = open_client(project).collection(collection)
    with shown_progress(err, quiet=as_json) as listener:
        launched = client.materialize(
            stages=tuple(stage) if stage else None,
            refresh="training_set" in (stage or []),
            sweep=sweep,
            listener=listener,
        )
    if as_json:
        print_json(launched_json(launched))
    else:
        show_launched(out, launched)
    exit_with(launched)


def promote(
    collection: CollectionArgument,
    because: Annotated[str, typer.Option("--because", help="Why; it is recorded.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the newest candidate live on your word. Integrity checks still block."""
    swapped = open_client(project).collection(collection).promote(because=because)
    if as_json:
        print_json(_swapped_json(swapped, because))
        return
    out.print(f"generation {swapped.live.number} of {collection} is live (before: {swapped.before or 'none'})")


def rollback(
    collection: CollectionArgument,
    because: Annotated[str, typer.Option("--because", help="Why; it is recorded.")] = "taken back",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the generation that was live before live again; the one taken back is not promoted again by itself."""
    swapped = open_client(project).collection(collection).rollback(because=because)
    if as_json:
        print_json(_swapped_json(swapped, because))
        return
    out.print(
        f"generation {swapped.live.number} of {collection} is live again (taken back: {swapped.before or 'none'})"
    )


def _swapped_json(swapped: Swapped, because: str) -> dict[str, object]:
    """Return ``{"collection", "generation", "was", "action", "decision", "because", "dropped"}``.

    ``decision`` is what the gate had said of the generation that is live now; ``was`` is null where nothing was live.
    """
    return {
        "collection": swapped.live.collection,
        "generation": swapped.live.number,
        "was": swapped.before,
        "action": swapped.action,
        "decision": swapped.live.decision,
        "because": because,
        "dropped": swapped.dropped,
    }

"""How the state of collections and the arms of an evaluation look in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from vector_assets.index.comparing import Arm
    from vector_assets.stores.status import Status


def show_status(console: Console, found: Mapping[str, Status]) -> None:
    """Print a block per collection."""
    for name, status in found.items():
        console.print(Text(name, style="bold"))
        if status.rows is None:
            console.print(f"  no rows yet; run vector-assets materialize {name}")
            continue
        console.print(
            f"  {status.rows:,} rows, {status.embedded:,} embedded, {status.pending:,} pending, "
            f"{status.failed:,} set aside, {status.stale:,} stale"
            + (f"; the oldest waits at most {status.oldest_pending_s:,.0f} s" if status.oldest_pending_s else "")
        )
        if status.generation is None:
            decision = f"{status.decision} ({status.reason})" if status.decision else "none"
            console.print(f"  nothing is live; decision: {decision}", soft_wrap=True, markup=False)
            continue
        recall = (
            f"{status.recall:.4f} (worst query {status.worst_recall:.2f})"
            if status.recall is not None
            else "not measured"
        )
        console.print(f"  generation {status.generation} is live, coverage {status.coverage:.4f}, recall@10 {recall}")
        if status.index and status.index_bytes is not None:
            changed = f", {status.index_changed:.0%} of its rows changed since" if status.index_changed else ""
            console.print(f"  index: {status.index}, {status.index_bytes / 2**20:,.1f} MiB{changed}")
        if status.index_worn:
            console.print(f"  maintenance will build the index anew: {status.index_worn}", soft_wrap=True)
        _show_partial(console, status)
        if status.truncated:
            console.print(f"  {status.truncated:,} vectors are of texts that the encoder cut off")
        console.print(f"  decision: {status.decision} ({status.reason})", soft_wrap=True, markup=False)
        for space, digest in status.checkpoints.items():
            console.print(f"  {space}: checkpoint {digest[:12]}")


def _show_partial(console: Console, status: Status) -> None:
    """Print a line per partial index, and per value for which one would pay."""
    for each in status.partial:
        console.print(
            f"  partial index {each['field']} = {each['value']}: {each['said']}", soft_wrap=True, markup=False
        )
    for one in status.partial_proposed:
        unit = "rows compared" if one.way == "exact" else "entries of the index looked at"
        console.print(
            f"  a partial index would pay: {one.field} = {one.value}, {one.vectors:,} vectors ({one.share:.1%}), "
            f"{one.bytes / 2**20:,.1f} MiB; {one.looked_at:,} {unit} now, {one.looked_at_then:,} then, "
            f"about {one.ms} ms and {one.ms_then} ms; under index: {one.declare}",
            soft_wrap=True,
            markup=False,
        )


def show_arms(console: Console, arms: Sequence[Arm]) -> None:
    """Print a line per metric, a column per arm, and how live differs from each."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for arm in arms:
        table.add_column(arm.arm, justify="right")
    for name in arms[0].scores:
        table.add_row(name, *(f"{arm.scores[name]:.4f}" if arm.scores else "-" for arm in arms))
    console.print(table)
    for arm in arms:
        if arm.note:
            console.print(f"{arm.arm} was {arm.note}", soft_wrap=True)
        if arm.against:
            found = arm.against
            console.print(
                f"live against {arm.arm}: {found.metric} {found.difference:+.4f} "
                f"[{found.low:+.4f}, {found.high:+.4f}], p {found.p:.2g}",
                soft_wrap=True,
                markup=False,
            )

"""What the command search is asked beside its question, and how it shows a context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from vector_assets.errors import UserError

if TYPE_CHECKING:
    from vector_assets.search.ask import FusionName
    from vector_assets.search.context import Context

SearchMethodOption = Annotated[
    str | None,
    typer.Option(
        "--method", help="vector uses the index, exact scans all vectors, bm25 counts words, hybrid does both, svm "
        "learns from examples; as declared when left out.", show_default=False,
    ),
]  # fmt: skip
FusionOption = Annotated[
    str | None,
    typer.Option(
        help="How hybrid joins its parts: calibrated, by learned weights (rrf where there are none), or rrf; as "
        "declared when left out.", show_default=False,
    ),
]  # fmt: skip
LikeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--like", metavar="ID", help="More like this row; may stand several times, with or without a question.",
        show_default=False,
    ),
]  # fmt: skip
UnlikeOption = Annotated[
    list[str] | None,
    typer.Option("--unlike", metavar="ID", help="Less like this row; may stand several times.", show_default=False),
]
DiverseOption = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Above 0, rows that repeat others make way; as declared when left out.",
                 show_default=False),
]  # fmt: skip
RerankOption = Annotated[
    bool | None,
    typer.Option("--rerank/--no-rerank", help="Let the declared cross-encoder read the best rows.", show_default=False),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A setting that the source's row-level security reads, such as "
        "app.tenant=acme; may stand several times.", show_default=False,
    ),
]  # fmt: skip
ContextOption = Annotated[
    str | None,
    typer.Option(
        "--context", metavar="tokens=N", help="Print cited passages within a budget of tokens instead of hits.",
        show_default=False,
    ),
]  # fmt: skip


def checked_fusion(fusion: str) -> FusionName:
    """Return ``--fusion``, or raise UserError with those that there are."""
    from vector_assets.search.ask import FUSIONS

    if fusion not in FUSIONS:
        raise UserError(f"--fusion {fusion}: expected {' or '.join(FUSIONS)}")
    return fusion


def budget(text: str) -> int:
    """Read ``tokens=2000`` or ``2000``; raises UserError for anything else."""
    number = text.removeprefix("tokens=")
    if not number.isdecimal() or not 1 <= int(number) <= 1_000_000:
        raise UserError(f"--context {text}: expected tokens=2000, a budget from 1 to 1000000")
    return int(number)


def context_json(found: Context) -> dict[str, object]:
    """Return ``{"passages": [{"n", "id", "text", "score", "start", "stop", "stale"?}], "tokens", "answered", …}``."""
    passages = []
    for one in found.passages:
        shown: dict[str, object] = {
            "n": one.n, "id": one.id, "text": one.text, "score": one.score, "start": one.start, "stop": one.stop,
        }  # fmt: skip
        passages.append({**shown, "stale": True} if one.stale else shown)
    return {
        "passages": passages,
        "tokens": found.tokens,
        "budget": found.budget,
        "counted_by": found.counted_by,
        "answered": found.answered,
        **({"why": found.why} if found.why else {}),
        "method": found.method,
        "generation": found.generation,
        "ms": round(found.ms, 2),
    }


def show_context(console: Console, found: Context) -> None:
    """Print the passages with their marks, then what each mark stands for."""
    if not found.answered:
        console.print(found.why, soft_wrap=True, markup=False)
        return
    console.print(found.text, soft_wrap=True, markup=False)
    console.print()
    for one in found.passages:
        console.print(
            Text.assemble(
                (f"[{one.n}] ", "cyan"),
                (one.id, "bold"),
                f"  {one.score:.3f}, characters {one.start} to {one.stop}",
                ("  (stale)", "red") if one.stale else "",
            )
        )
    console.print(
        f"{found.tokens} of {found.budget} ({found.counted_by}), generation {found.generation}, {found.method}, "
        f"{found.ms:.0f} ms",
        style="dim",
    )

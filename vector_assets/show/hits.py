"""How hits look in a terminal, and their JSON shape."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from vector_assets.search.hits import Hit, Hits


def hits_json(hits: Hits) -> dict[str, object]:
    """Return ``{"hits": [{"id", "score", "row", "parts"?, "stale"?, "chunk"?}], "method", "generation", "ms"}``.

    ``reranked_by`` stands beside them where a model read the rows. Where scores are calibrated a hit has its
    ``probability``; where a precision was asked there are ``answered``, ``precision`` and ``threshold`` as well.
    """
    found = []
    for hit in hits.hits:
        one: dict[str, object] = {"id": hit.id, "score": hit.score, "row": dict(hit.row)}
        if hit.parts:
            one["parts"] = dict(hit.parts)
        if hit.stale:
            one["stale"] = True
        if hit.probability is not None:
            one["probability"] = round(hit.probability, 6)
        if hit.chunk:
            one["chunk"] = {
                name: value for name, value in asdict(hit.chunk).items() if value or name not in ("stale", "headings")
            }
        found.append(one)
    beside = {"reranked_by": hits.reranked_by} if hits.reranked_by else {}
    told: dict[str, object] = {"hits": found, "method": hits.method, "generation": hits.generation}
    if hits.floor:
        told |= {"answered": bool(found), "precision": hits.floor.precision, "threshold": hits.floor.score}
    return {**told, "ms": round(hits.ms, 2), **beside}


def show_hits(console: Console, hits: Hits, *, limit: int | None = None) -> None:
    """Print hits, best first: score, id, and the beginning of the row's texts."""
    for hit in hits.hits[:limit]:
        console.print(
            Text.assemble(
                (f"{hit.score:.3f}  ", "cyan"),
                (hit.id, "bold"),
                _likely(hit),
                ("  (stale)", "red") if hit.stale else "",
            )
        )
        shown = _summary(hit)
        if shown:
            console.print(Text("       " + shown), overflow="ellipsis", no_wrap=True)
        if hit.chunk:
            cut = " ".join(hit.chunk.text.split())[:300]
            console.print(
                Text(f"       … {cut} …", style="dim"), Text("(stale)" if hit.chunk.stale else "", style="red")
            )
    if not hits.hits:
        console.print(hits.floor.why if hits.floor else "no hits", soft_wrap=True, markup=False)
    if limit is None:
        console.print(f"generation {hits.generation}, {hits.method}, {hits.ms:.0f} ms", style="dim")


def _likely(hit: Hit) -> str:
    return "" if hit.probability is None else f"  {100 * hit.probability:.0f} % likely"


def _summary(hit: Hit) -> str:
    names = ("summary", "title", "name", *hit.row)
    texts = [hit.row[name] for name in names if isinstance(hit.row.get(name), str) and hit.row[name] != hit.id]
    return " ".join(str(texts[0]).split())[:160] if texts else ""

"""The gate: what is said of a candidate, from measurements alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vector_assets.index.shadow import Shadow
from vector_assets.index.slices import SliceFound
from vector_assets.records import Comparison, Decision


def decide_first(trained: Comparison | None) -> Decision:
    """Decide on the first generation: it goes live, unless its training made it worse than its own base.

    ``trained`` compares the tuned encoder with the untrained base on held-out queries; None when nothing was trained.
    """
    if trained is None:
        return Decision("promote", "first generation; the encoder is untrained, so there is nothing to compare")
    if trained.high < 0:
        return Decision(
            "keep", f"first generation, but training made it worse than its base: {_words(trained)}", trained
        )
    return Decision("promote", f"first generation; tuned against its untrained base: {_words(trained)}", trained)


def decide(
    comparison: Comparison | None,
    *,
    same_vectors: bool = False,
    slices: Sequence[SliceFound] = (),
    synthetic: bool = False,
) -> Decision:
    """Decide on a candidate against live, by the 95 % interval of the paired difference; a tie keeps live.

    A slice that is worse keeps live as well. On ``synthetic`` questions nothing is decided: a person has to.
    """
    if same_vectors:
        return Decision(
            "promote", "the vectors mean the same as live's; what stands beside them or their index changed"
        )
    if comparison is None:
        return Decision(
            "needs_evaluation",
            "no held-out queries to compare it with live on; declare evaluation: or use promote --because",
        )
    if synthetic:
        return Decision(
            "needs_evaluation",
            f"no held-out queries to compare it with live on; synthetic known-item queries say {_words(comparison)}, "
            "which is never enough; declare evaluation: or use promote --because",
        )
    worse = [each for each in slices if each.said == "worse"]
    if comparison.low > 0 and worse:
        rest = f", and {len(worse) - 1} more" if len(worse) > 1 else ""
        return Decision(
            "keep",
            f"better than live on the whole ({_words(comparison)}), but worse on {worse[0].name}: "
            f"{_words(worse[0].comparison)}{rest}",
            comparison,
        )
    if comparison.low > 0:
        return Decision("promote", f"better than live: {_words(comparison)}", comparison)
    if comparison.high < 0:
        return Decision("keep", f"worse than live: {_words(comparison)}", comparison)
    return Decision("keep", f"a tie keeps live: {_words(comparison)}", comparison)


def remark(decision: Decision, lexical: Comparison | None, shadow: Shadow | None) -> Decision:
    """Add what does not decide: a warning where BM25 (old) beats the candidate (new), and what people would notice."""
    said = [decision.reason]
    if lexical and lexical.high < 0:
        said.append(f"warning: BM25 finds better than these vectors, {_words(lexical)}; out of domain words often do")
    if shadow:
        said.append(shadow.words)
    return replace(decision, reason="; ".join(said))


def _words(c: Comparison) -> str:
    return (
        f"{c.metric} {c.old:.3f} -> {c.new:.3f}, difference {c.difference:+.3f} "
        f"[{c.low:+.3f}, {c.high:+.3f}] over {c.queries} queries"
    )

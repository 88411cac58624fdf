"""The gate: what is said of a candidate, from measurements alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vector_assets.index.shadow import Shadow
from vector_assets.index.slices import SliceFound
from vector_assets.records import Comparison, Decision


def decide_first(trained: Comparison | None) -> Decision:
    """Decide on the first generation: it goes live, unless its training made it worse than its own base.

    ``weigh_words`` may still keep it out.

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


def weigh_words(
    decision: Decision, bm25: Comparison | None, *, hybrid: Comparison | None = None, live: Comparison | None = None
) -> Decision:
    """Keep what was to be promoted where BM25 (old) beats these vectors (new): its 95 % interval lies wholly below 0.

    Two ways out. ``live`` (old) is significantly worse than the candidate (new): keeping it would serve nobody. Or
    ``hybrid`` (new), which is measured where the collection declares ``lexical``, has at least the mean of BM25 (old)
    on the same questions. No significance is asked of it: who searches by hybrid then loses nothing to words.
    ``bm25`` is None where it was left out, or where the questions are synthetic; then nothing changes.
    """
    if bm25 is None or bm25.high >= 0:
        return decision
    beaten = f"{decision.reason}; BM25 finds better than these vectors, {_words(bm25)}"
    if decision.decision != "promote":
        return replace(decision, reason=beaten)
    if hybrid and hybrid.difference >= 0:
        return replace(decision, reason=f"{beaten}, but hybrid of both is not below it: {_words(hybrid)}")
    way = "declare lexical: so that hybrid is searched" if hybrid is None else "take another encoder, or train it"
    if hybrid:
        beaten += f", and better than hybrid of both, {_words(hybrid)}"
    if live and live.low > 0:
        return replace(decision, reason=f"{beaten}; goes live all the same, since what is live is worse; {way}")
    return replace(decision, decision="keep", reason=f"{beaten}; {way}, or use promote --because")


def remark(decision: Decision, shadow: Shadow | None) -> Decision:
    """Add what does not decide: what people would notice."""
    return replace(decision, reason=f"{decision.reason}; {shadow.words}") if shadow else decision


def _words(c: Comparison) -> str:
    return (
        f"{c.metric} {c.old:.3f} -> {c.new:.3f}, difference {c.difference:+.3f} "
        f"[{c.low:+.3f}, {c.high:+.3f}] over {c.queries} queries"
    )

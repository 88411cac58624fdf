"""Fail when the demo did not report what it promises: python .ci/check_demo.py REPORT first|second."""

import json
import sys
from pathlib import Path

report = json.loads(Path(sys.argv[1]).read_text())
turn = sys.argv[2]
comparison = report["comparison"]
arms = report["arms"]


def found(arm: str) -> float:
    """MRR@10 of one arm; -1 where it was not measured."""
    return float(arms.get(arm, {}).get("mrr@10", -1))


promises = {
    "at least 5,000 functions": report["rows"] >= 5000,
    "every row has its vector": report["embedded"] == report["rows"],
    "recall@10 as declared": report["recall"] >= 0.98,
    "tuned beats base on unseen distributions": comparison["low"] > 0,
    "MRR@10 of the tuned encoder is .70 or more": comparison["new"] >= 0.70,
    "vectors, words and hybrid on the same questions": {"vector", "bm25", "hybrid"} <= set(arms),
    "hybrid is not below words": found("hybrid") >= found("bm25"),
    "each search has hits": all(len(search["hits"]) == 3 for search in report["searches"]),
}
if turn == "second":
    promises |= {
        "a second run encodes nothing": report["stages"]["embeddings"]["encoded"] == 0,
        "a second run trains nothing": report["trained_now"] is False,
    }
broken = [promise for promise, kept in promises.items() if not kept]
for promise in broken:
    sys.stderr.write(f"the {turn} demo broke its promise: {promise}\n")
sys.stdout.write(
    f"{turn} demo: {report['seconds']} s, {len(promises) - len(broken)} of {len(promises)} promises kept\n"
)
sys.exit(bool(broken))

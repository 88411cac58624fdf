"""Ways of cutting SciFact's abstracts, measured on its test claims: the function behind the asset chunkings/COLLECTION.

Title and abstract are two fields, so that a chunk has one of them; whole reads both as one text. With --rows, fewer
abstracts: all that are judged, and others by the hash of their id. The metric of the test is nDCG@10.

    python benchmarks/chunkings.py --data FOLDER --json chunkings.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from pathlib import Path

from vector_assets.encoder import load_encoder
from vector_assets.encoder.open import store_untrained
from vector_assets.index.chunkings import Row, Way, WayFound, compare_chunkings
from vector_assets.records import ChunkRule, KeyColumn
from vector_assets.source.jsonl import read_objects
from vector_assets.source.judged import read_judged

WAYS = (
    Way("whole", None),
    Way("paragraph 1000", ChunkRule("paragraph", 1000)),
    Way("sentence 200", ChunkRule("sentence", 200)),
    Way("sentence 200, mean of 3", ChunkRule("sentence", 200), 3),
    Way("window of 3", ChunkRule("window", 1000, sentences=3)),
    Way("window of 3, mean of 3", ChunkRule("window", 1000, sentences=3), 3),
    Way("tokens 64/16", ChunkRule("tokens", 64, 16)),
    Way("tokens 64/16, mean of 3", ChunkRule("tokens", 64, 16), 3),
)


def rows_of(path: Path, judged: set[str], limit: int) -> tuple[list[Row], int]:
    """Return the abstracts that are looked at, in order of their keys, and how many there are."""
    found = {line.text("_id"): (line.text("title"), line.text("text")) for line in read_objects(str(path))}
    others = sorted(
        (name for name in found if json.dumps([name]) not in judged),
        key=lambda name: hashlib.sha256(name.encode()).digest(),
    )
    kept = [name for name in found if json.dumps([name]) in judged]
    kept += others[: max(0, limit - len(kept))]
    return [((name,), found[name]) for name in sorted(kept)], len(found)


def shown(way: WayFound) -> str:
    """A line of the table in Markdown."""
    cells = [f"{way.scores[metric]:.4f}" for metric in ("ndcg@10", "recall@10", "mrr@10")]
    low, high = way.intervals["ndcg@10"]
    against = way.against
    test = ""
    if against:
        test = f"{against.difference:+.4f} ({against.low:+.3f} to {against.high:+.3f}), p {against.p:.2g}"
    share = f"{100 * way.truncated / way.chunks:.1f} %"
    ends = [f"{low:.3f} to {high:.3f}", test, f"{way.chunks:,}", share, f"{way.seconds:.0f}"]
    return "| " + " | ".join([way.name, *cells, *ends]) + " |"


def main() -> None:
    """Measure, print a line as each is known, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="SciFact in the BEIR layout")
    parser.add_argument("--rows", type=int, default=5183)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    judged = read_judged(
        str(asked.data / "queries.jsonl.gz"), str(asked.data / "qrels_test.tsv.gz"), (KeyColumn("_id", "text"),)
    )
    rows, of = rows_of(asked.data / "corpus.jsonl.gz", {key for one in judged for key in one.relevant}, asked.rows)
    print(f"{len(judged)} claims, {len(rows)} of {of} abstracts", flush=True)
    with tempfile.TemporaryDirectory() as work:
        encoder = load_encoder(store_untrained("minilm", Path(work), folder=Path(work)).folder)
        started = time.perf_counter()

        def progress(done: int, total: int, name: str) -> None:
            print(f"\r{name}: {done} of {total}, {time.perf_counter() - started:.0f} s", end="", flush=True)

        found = compare_chunkings(
            rows, WAYS, judged, encoder, space="text", metric="ndcg@10", progress=progress
        )  # fmt: skip
    print()
    for way in found:
        print(shown(way))
    if asked.json:
        record = {"claims": len(judged), "rows": len(rows), "of": of, "ways": [way.record() for way in found]}
        asked.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""A reader of its own process: asks the SQL function as the reader role, until it is told to stop and has asked enough.

    python sql_reader.py URL COLLECTION QUERIES STOP_FILE

Prints one JSON object: how many questions, and each distinct answer with how often it came. Ends with 1 on an error.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import psycopg


def main(url: str, collection: str, queries: int, stop: Path) -> None:
    answers: Counter[str] = Counter()
    asked = 0
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    with psycopg.connect(url, autocommit=True) as connection:
        while asked < queries or not stop.exists():
            rows = connection.execute(
                f"select f.generation, split_part(r.title, ' ', 1), round(f.score::numeric, 3)::text "
                f"from search.{collection}(q => '[1,0,0,0,0]', k => 10) f join search.{collection}_rows r using (id)"
            ).fetchall()
            answers[json.dumps([len(rows), sorted(set(rows))])] += 1
            asked += 1
    sys.stdout.write(json.dumps({"asked": asked, "answers": answers}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))

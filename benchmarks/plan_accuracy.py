"""What ``plan`` says against what the run then takes: seconds of the embeddings stage, bytes of table and index.

Two collections of installed Python code are declared, one of short texts (first sentences) and one of long ones (code),
and one more for each --jsonl FILE,id,field. Each is planned and then materialized up to its candidate, --rounds times
in turn, each time as a new collection: what else the machine does in between hits both sides alike.

    python benchmarks/plan_accuracy.py --rounds 2 --json plan_accuracy.json

The embedded server and the project are made in a temporary folder and removed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from vector_assets.runtime.postgres import remove_postgres
from vector_assets.spec.scaffold import init_project
from vector_assets.stores.workspace import open_workspace

CODE = "{kind: python_code, distributions: [numpy, scipy, pandas, scikit-learn], per_distribution: 500}"
STAGES = ("encoder", "raw", "embeddings", "candidate")
DECLARATION = """type: vector_assets.CollectionComponent
attributes:
  name: {name}
  source: {source}
  fields: {{{fields}: text}}
  spaces: {{text: {{kind: text, fields: [{fields}], encoder: minilm{chunk}}}}}
"""


def declare(project: Path, name: str, source: str, fields: str, chunk: str = "") -> None:
    """Write one declaration."""
    folder = project / "defs" / name
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(DECLARATION.format(name=name, source=source, fields=fields, chunk=chunk))


def ours(*words: str) -> dict[str, object]:
    """Run a command of ours in a process of its own, as a person does; return its JSON."""
    command = [sys.executable, "-m", "vector_assets.cli", *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    found: dict[str, object] = json.loads(done.stdout)
    return found


def measure(project: Path, name: str) -> dict[str, float]:
    """Plan, materialize, and put both side by side."""
    planned = ours("plan", name, "--project", str(project))
    asked = [word for stage in STAGES for word in ("--stage", stage)]
    load = os.getloadavg()[0]
    done = ours("materialize", name, *asked, "--project", str(project))
    stage = done["stages"]["embeddings"]  # type: ignore[index]
    stores = open_workspace()
    generation = stores.generations.list(name)[0]
    table, index = stores.embeddings.sizes(generation)
    with stores.database.connect() as connection:
        vectors = connection.execute(
            stores.database.compose("select count(*) from {t}", t=stores.embeddings.vectors_table(generation))
        ).fetchone()
    assert vectors
    return {
        "rows": stage["encoded"], "planned_rows": planned["encode"],
        "vectors": vectors[0], "planned_vectors": planned["chunks"],
        "seconds": stage["seconds"], "planned_seconds": planned["seconds"], "planned_start": planned["start_seconds"],
        "table_bytes": table, "planned_table_bytes": planned["table_bytes"],
        "index_bytes": index, "planned_index_bytes": planned["index_bytes"],
        "load": load,
    }  # type: ignore[dict-item]  # fmt: skip


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--jsonl", action="append", default=[], metavar="FILE,id,field")
    parser.add_argument("--chunk", default="", help="chunk: of the collections of --jsonl, such as {by: sentence}")
    parser.add_argument("--only", action="append", help="names of collections; all when left out")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    kinds = {"short": (CODE, "summary", ""), "long": (CODE, "body", "")}
    for number, given in enumerate(asked.jsonl):
        file, key, field = given.split(",")
        source = f"{{kind: file, path: {Path(file).resolve()}, id: {key}}}"
        kinds[f"file_{number}"] = (source, field, f", chunk: {asked.chunk}" if asked.chunk else "")
    kinds = {name: kind for name, kind in kinds.items() if name in (asked.only or kinds)}
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        home, project = Path(folder) / "home", Path(folder) / "project"
        os.environ["VECTOR_ASSETS_HOME"] = str(home)
        init_project(project)
        try:
            for turn in range(1, asked.rounds + 1):
                for name, (source, fields, chunk) in kinds.items():
                    declare(project, f"{name}_{turn}", source, fields, chunk)
                    each = found[f"{name}_{turn}"] = measure(project, f"{name}_{turn}")
                    shown = [f"{name}_{turn}", f"load {each['load']:.1f}"]
                    for what in ("vectors", "seconds", "table_bytes", "index_bytes"):
                        planned, real = each[f"planned_{what}"], each[what]
                        shown.append(f"{what} {planned:,.0f}/{real:,.0f} = {planned / real:.2f}")
                    sys.stdout.write("  ".join(shown) + "\n")
                    sys.stdout.flush()
        finally:
            remove_postgres(home)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

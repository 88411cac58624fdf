"""python_functions, the bundled collection: its tuned encoder against the base, on distributions it never saw.

The stages raw, training_set and encoder of the bundled project, as `make demo` runs them, in a home of their own that
is removed. The control, the untrained base, is an arm of every training of this project; the numbers are those that
the run records. --size full is `make demo SIZE=full`.

    python benchmarks/python_functions_training.py --json python_functions.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vector_assets.runtime.postgres import remove_postgres
from vector_assets.stores.workspace import open_workspace

NAME, SPACE = "python_functions", "code"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["demo", "full"], default="demo")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        os.environ |= {"VECTOR_ASSETS_HOME": str(home), "PYTHON_FUNCTIONS": asked.size}
        stages = [word for stage in ("raw", "training_set", "encoder") for word in ("--stage", stage)]
        command = [sys.executable, "-m", "vector_assets.cli", "materialize", NAME, *stages, "--json"]
        started = time.perf_counter()
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stdout + done.stderr)
            workspace = open_workspace()
            checkpoints = workspace.checkpoints
            encoder = checkpoints.encoder(NAME, SPACE)
            assert encoder and encoder.training_key and encoder.training_set
            known = checkpoints.training(encoder.training_key)
            assert known
            found = {
                **known[1], "counts": dict(workspace.training_sets.get(encoder.training_set).report),
                "seconds_in_all": round(time.perf_counter() - started, 1), "size": asked.size,
            }  # fmt: skip
        finally:
            remove_postgres(home)
    text = json.dumps(found, indent=1)
    sys.stdout.write(text + "\n")
    if asked.json:
        asked.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

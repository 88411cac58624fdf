"""Dagster's daemon, in a process of its own: schedules, sensors, conditions, the queue of runs, retries.

python -m vector_assets.assets.daemon --workspace FILE
"""

import argparse
from pathlib import Path

from dagster._daemon.cli import run_command

from vector_assets.assets.code_server import await_code_server


def main() -> None:
    """Wait for the code server, then run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m vector_assets.assets.daemon")
    parser.add_argument("--workspace", type=Path, required=True)
    workspace = parser.parse_args().workspace
    await_code_server(workspace)
    run_command(["--workspace", str(workspace)])


if __name__ == "__main__":
    main()

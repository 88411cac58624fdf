"""Dagster's web server behind our guard, in a process of its own.

    python -m vector_assets.assets.webserver --port 3000 --workspace FILE

It finds the instance through DAGSTER_HOME, the code server through the workspace file, the token in the environment.
Dagster's own command has no place for a guard; the private names below are pinned by dagster<1.14.
"""

import argparse
from pathlib import Path

import dagster as dg
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__

from vector_assets.assets.code_server import await_code_server
from vector_assets.runtime.ports import LOOPBACK
from vector_assets.runtime.serving import serve_app

# What Dagster's own command sets.
_STATEMENT_TIMEOUT_MS = 15_000
_POOL_RECYCLE_SECONDS = 3600
_POOL_OVERFLOW = 20


def run(workspace: Path, *, host: str, port: int) -> None:
    """Serve until SIGTERM. The page is up when the code location is loaded, or says why it is not."""
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(_STATEMENT_TIMEOUT_MS, _POOL_RECYCLE_SECONDS, _POOL_OVERFLOW)
        await_code_server(workspace)
        with WorkspaceProcessContext(
            instance, workspace_load_target=WorkspaceFileTarget([str(workspace)]), version=__version__
        ) as context:
            serve_app(create_app_from_workspace_process_context(context), host=host, port=port)


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m vector_assets.assets.webserver")
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workspace", type=Path, required=True)
    arguments = parser.parse_args()
    run(arguments.workspace, host=arguments.host, port=arguments.port)


if __name__ == "__main__":
    main()

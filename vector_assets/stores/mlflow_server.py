"""MLflow's web app behind our guard, in a process of its own: one worker, no jobs.

    python -m vector_assets.stores.mlflow_server --port 5000

It shows the tracking store of the workspace that the environment names. MLflow's own command would start a worker
and job runners beside itself, and has no place for a guard.
"""

from __future__ import annotations

import argparse
import os
import uuid

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from vector_assets.runtime.ports import LOOPBACK
from vector_assets.runtime.serving import serve_app
from vector_assets.stores.workspace import Workspace, open_workspace


def environment(workspace: Workspace) -> dict[str, str]:
    """Return what MLflow reads while it is imported."""
    return {
        "_MLFLOW_SERVER_FILE_STORE": workspace.tracking.uri,
        "MLFLOW_BACKEND_STORE_URI": workspace.tracking.uri,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": f"{workspace.artifacts}/mlflow",
        "_MLFLOW_SERVER_BOOT_ID": uuid.uuid4().hex,
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Ours is stricter: MLflow's lets a page of any other port of this machine read with the visitor's cookie.
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",
    }


def without_assistant(app: ASGIApp) -> ASGIApp:
    """Leave out MLflow's assistant: it runs shell commands on this machine for whoever is in the page."""

    async def filtered(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "/mlflow/assistant" in scope["path"]:
            await PlainTextResponse("the assistant is off\n", status_code=404)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return filtered


def main() -> None:
    """Read the arguments, make MLflow's tables if need be, and serve."""
    parser = argparse.ArgumentParser(prog="python -m vector_assets.stores.mlflow_server")
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    workspace = open_workspace()
    os.environ.update(environment(workspace))
    workspace.tracking.end_lost()  # else what was killed while nobody looked would be shown as running for ever
    from mlflow.server.fastapi_app import app

    serve_app(without_assistant(app), host=arguments.host, port=arguments.port)


if __name__ == "__main__":
    main()

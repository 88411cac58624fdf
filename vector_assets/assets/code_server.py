"""The one code server that web server and daemon share, and how they find it."""

import time
from pathlib import Path

import yaml
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient

MODULE, LOCATION = "vector_assets.definitions", "vector_assets"
_SECONDS = 90.0


def command(code_socket: Path) -> list[str]:
    """Return the module and arguments of Dagster's reloading code server, on a socket that only its owner reaches."""
    start = ["dagster", "code-server", "start", "-m", MODULE, "--location-name", LOCATION]
    return [*start, "--socket", str(code_socket), "--use-python-environment-entry-point"]


def write_workspace(path: Path, *, code_socket: Path) -> Path:
    """Write the file that leads web server and daemon to the code server."""
    server = {"socket": str(code_socket), "location_name": LOCATION}
    path.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    return path


def await_code_server(workspace: Path) -> None:
    """Wait for the code server that is being started beside us.

    Without it the page would open on an error, and the daemon would give up runs it has to start again.
    """
    server = yaml.safe_load(workspace.read_text())["load_from"][0]["grpc_server"]
    client = DagsterGrpcClient(socket=server["socket"])
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        try:
            client.ping("")
        except DagsterUserCodeUnreachableError:
            time.sleep(0.1)
        else:
            return

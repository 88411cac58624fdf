"""What `vector-assets up` runs: Dagster's web server, daemon and code server, and MLflow, until Ctrl-C.

One code server on a private Unix socket serves web server and daemon; it is Dagster's reloading one, so that a changed
declaration arrives by "Reload" in the page. Both pages are behind a token that is never optional.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from vector_assets.assets import code_server
from vector_assets.assets.instance import get_instance, instance_environment
from vector_assets.assets.lost_runs import fail_lost_runs
from vector_assets.errors import RuntimeFault
from vector_assets.runtime import serving
from vector_assets.runtime.ports import LOOPBACK, require_free
from vector_assets.runtime.processes import Child, supervise, sweep
from vector_assets.spec.project import VARIABLE, find_project
from vector_assets.stores.workspace import Workspace, open_workspace

PORT, MLFLOW_PORT = 3000, 5000
# Then runs in progress are interrupted, too, and are recorded as such.
_GRACE = 5.0
# Threads of a server otherwise keep a heap each.
_FEW_HEAPS = {"MALLOC_ARENA_MAX": "2"}


@dataclass(frozen=True)
class Served:
    """Where the pages are. The addresses with the token are for the person who started `up`."""

    dagster: str
    mlflow: str
    logs: Path
    token: str = field(repr=False)

    def address(self, page: str) -> str:
        """Return an address to open once; the browser keeps the token as a cookie."""
        # MLflow opens on language models unless told what people train here.
        start = "#/experiments?workflowType=machine_learning" if page == self.mlflow else ""
        return f"{page}/?token={self.token}{start}"


def serve(
    project: Path | None = None,
    *,
    host: str = LOOPBACK,
    port: int = PORT,
    mlflow_port: int = MLFLOW_PORT,
    on_ready: Callable[[Served], None],
) -> None:
    """Serve both pages until SIGINT or SIGTERM; raise VectorAssetsError with one line when that is not possible.

    ``on_ready`` is called once both answer. Beyond loopback, VECTOR_ASSETS_TOKEN has to be set, and
    VECTOR_ASSETS_ALLOWED_HOSTS adds names by which browsers may ask. With an MLFLOW_TRACKING_URI that is a server, no
    MLflow is started.
    """
    token, hosts = serving.choose_token(host), serving.allowed_hosts(host)
    found = find_project(project)
    found.collections()
    if project is not None:
        os.environ[VARIABLE] = str(found.root)
    if port == mlflow_port:
        raise RuntimeFault(f"--port and --mlflow-port are both {port}; choose two")
    workspace = open_workspace()
    code_socket = serving.socket_path(workspace.home, "code.sock")
    sweep(workspace.home)
    require_free(port, option="--port", host=host)
    if not _is_server(workspace):
        require_free(mlflow_port, option="--mlflow-port", host=host)
    code_socket.unlink(missing_ok=True)
    _prepare(workspace, code_socket)
    page = f"http://{serving.shown_host(host)}"
    mlflow = workspace.addresses.tracking if _is_server(workspace) else f"{page}:{mlflow_port}"
    served = Served(f"{page}:{port}", mlflow, workspace.home / "logs", token)
    os.environ["VECTOR_ASSETS_MLFLOW_UI"], os.environ["VECTOR_ASSETS_DAGSTER_UI"] = served.mlflow, served.dagster
    guard = {serving.TOKEN: token, serving.HOSTS: ",".join(hosts), **_FEW_HEAPS}
    children = _children(workspace, code_socket, guard, host=host, port=port)
    if not _is_server(workspace):
        children.append(_mlflow(workspace, guard, host=host, port=mlflow_port))
    supervise(workspace.home, children, on_ready=lambda: on_ready(served))


def _prepare(workspace: Workspace, code_socket: Path) -> None:
    """Make or migrate all tables before several processes ask for them at once."""
    _ = workspace.database
    with get_instance(workspace) as instance:
        fail_lost_runs(instance, code_socket=str(code_socket))


def _is_server(workspace: Workspace) -> bool:
    return workspace.addresses.tracking.startswith(("http://", "https://"))


def _children(workspace: Workspace, code_socket: Path, guard: dict[str, str], *, host: str, port: int) -> list[Child]:
    home = workspace.home
    env = {**instance_environment(workspace), "VECTOR_ASSETS_ARTIFACTS": workspace.artifacts}
    file = code_server.write_workspace(home / "run" / "workspace.yaml", code_socket=code_socket)
    page = [*_page("vector_assets.assets.webserver", host, port), "--workspace", str(file)]
    daemon = _python("vector_assets.assets.daemon", "--workspace", str(file))
    return [
        Child("code", _python(*code_server.command(code_socket)), env, cwd=home, grace=_GRACE),
        Child(
            "webserver",
            page,
            {**env, **guard},
            cwd=home,
            ready_url=f"http://{_local(host)}:{port}/server_info",
            ready_token=guard[serving.TOKEN],
            grace=_GRACE,
        ),
        Child("daemon", daemon, {**env, **_FEW_HEAPS}, cwd=home, grace=_GRACE),
    ]


def _mlflow(workspace: Workspace, guard: dict[str, str], *, host: str, port: int) -> Child:
    return Child(
        "mlflow",
        _page("vector_assets.stores.mlflow_server", host, port),
        {"VECTOR_ASSETS_HOME": str(workspace.home), "VECTOR_ASSETS_ARTIFACTS": workspace.artifacts, **guard},
        cwd=workspace.home,
        ready_url=f"http://{_local(host)}:{port}/health",
        ready_token=guard[serving.TOKEN],
        grace=_GRACE,
    )


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _page(module: str, host: str, port: int) -> list[str]:
    return _python(module, "--host", host, "--port", str(port))


def _local(host: str) -> str:
    return LOOPBACK if host == "0.0.0.0" else host  # noqa: S104

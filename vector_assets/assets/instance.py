"""The Dagster instance of a home: its folder, its storage in our Postgres, and the environment that leads there."""

import os
from pathlib import Path

import dagster as dg

from vector_assets.runtime.home import bundled, own_folder
from vector_assets.runtime.locks import locked
from vector_assets.stores.workspace import Workspace

_LOCK_SECONDS = 120.0


def instance_environment(workspace: Workspace) -> dict[str, str]:
    """Prepare the instance, and return what every process that works with it needs in its environment.

    A DAGSTER_HOME of the user's own is used as it is; ours gets the bundled dagster.yaml anew each time.
    """
    project = os.environ.get("VECTOR_ASSETS_PROJECT")
    return {
        "DAGSTER_HOME": str(_dagster_home(workspace.home)),
        "VECTOR_ASSETS_DAGSTER_URL": workspace.dagster_url(),
        "VECTOR_ASSETS_DAGSTER_FOLDER": str(own_folder(workspace.home / "dagster")),
        "VECTOR_ASSETS_HOME": str(workspace.home),
        **({"VECTOR_ASSETS_PROJECT": str(Path(project).expanduser().absolute())} if project else {}),
        "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def get_instance(workspace: Workspace) -> dg.DagsterInstance:
    """Open the instance in this process, whose environment is set for it; its tables are made once, under a lock."""
    _ = workspace.database  # a server that cannot be used is one line of ours, not a traceback of Dagster's
    with locked(workspace.home / "dagster.lock", timeout=_LOCK_SECONDS, purpose="making Dagster's tables"):
        os.environ.update(instance_environment(workspace))
        return dg.DagsterInstance.get()


def _dagster_home(home: Path) -> Path:
    own = home / "dagster_home"
    named = os.environ.get("DAGSTER_HOME")
    if named and Path(named).expanduser() != own:
        return Path(named).expanduser().absolute()
    target = own_folder(own) / "dagster.yaml"
    wanted = (bundled("dagster_home") / "dagster.yaml").read_bytes()
    if not target.exists() or target.read_bytes() != wanted:
        # Replaced whole: another process may be reading it.
        half = target.with_name(f".dagster.yaml-{os.getpid()}")
        half.write_bytes(wanted)
        half.replace(target)
    return target.parent

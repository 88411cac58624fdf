"""Running our code in other processes and as other users."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
Query = Callable[..., str]
RunPython = Callable[..., subprocess.CompletedProcess[str]]


def python_environment() -> dict[str, str]:
    """What a subprocess needs to import our package and its dependencies, whichever interpreter runs it."""
    path = os.pathsep.join([str(REPOSITORY), str(Path(psutil.__file__).parents[1])])
    return {"PATH": os.defpath, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def interpreter(user: str | None) -> str:
    """Ours, or for a user who cannot reach it the system's, if it is of the same version."""
    if user is None:
        return sys.executable
    ours = ".".join(str(part) for part in sys.version_info[:2])
    for candidate in (sys.executable, "/usr/bin/python3"):
        ask = "import sys, json; print('%d.%d' % sys.version_info[:2])"
        try:
            done = subprocess.run(
                [candidate, "-c", ask], capture_output=True, text=True, user=user, cwd="/", check=False
            )
        except OSError:
            continue
        if done.stdout.strip() == ours:
            return candidate
    pytest.skip(f"user {user} can reach no Python {ours}")

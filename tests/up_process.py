"""`vector-assets up` as a process, for the tests that talk to what it serves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil

from vector_assets.runtime.process_trees import MARK

_OURS = ("HOME", "PROJECT", "ARTIFACTS", "DATABASE_URL", "READER_URL", "SCHEMA_PREFIX", "TOKEN", "ALLOWED_HOSTS")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Answer:
    """What a page answered."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def data(self):
        """The body, read as JSON."""
        return json.loads(self.body)


class Up:
    """A running `up`: both addresses, the token, and the seconds until it was ready."""

    def __init__(self, home: Path, *, project: Path | None = None, ports: tuple[int, int] | None = None) -> None:
        self.home = home
        self.ports = ports or (free_port(), free_port())
        started = time.monotonic()
        self.process = start_up(home, self.ports, project=project)
        self.addresses: dict[str, str] = {}
        self.said = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            name, _, address = line.strip().partition(" ")
            if address.strip().startswith("http"):
                self.addresses[name] = address.strip()
            if len(self.addresses) == 2:
                break
        else:
            raise AssertionError(f"up ended with {self.process.wait()}: {self.said} {logs(home)}")
        self.seconds = time.monotonic() - started
        self.token = parse_qs(urlsplit(self.addresses["Dagster"]).query)["token"][0]

    def ask(self, page: str, path: str, *, token: str | None = None, body: object = None, **headers: str) -> Answer:
        """Ask `Dagster` or `MLflow`; without a token unless one is given."""
        address = f"http://127.0.0.1:{self.ports[page == 'MLflow']}{path}"
        data = None if body is None else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(address, data=data, headers=headers)
        try:
            with _STAYING.open(request, timeout=30) as response:
                return Answer(response.status, dict(response.headers), response.read().decode(errors="replace"))
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read().decode(errors="replace"))

    def graphql(self, query: str):
        """Ask Dagster's GraphQL."""
        answer = self.ask("Dagster", "/graphql", token=self.token, body={"query": query})
        assert answer.status == 200 and "errors" not in answer.data, answer.body
        return answer.data["data"]

    def family(self) -> list[psutil.Process]:
        """`up` and all it has started, found by their mark."""
        return [psutil.Process(self.process.pid), *marked(self.home)]

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args, **_kwargs):
        return None


_STAYING = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay())


def clean_environment(home: Path) -> dict[str, str]:
    """Ours, without what would lead to another home, project or store."""
    env = {name: value for name, value in os.environ.items() if name.removeprefix("VECTOR_ASSETS_") not in _OURS}
    env = {name: value for name, value in env.items() if name not in ("MLFLOW_TRACKING_URI", "DAGSTER_HOME", MARK)}
    return {**env, "VECTOR_ASSETS_HOME": str(home), "COLUMNS": "300", "OMP_NUM_THREADS": "1"}


def start_up(home: Path, ports: tuple[int, int], *, project: Path | None = None) -> subprocess.Popen[str]:
    """Start it, in a clean environment."""
    command = [sys.executable, "-m", "vector_assets.cli", "up", "--port", str(ports[0]), "--mlflow-port", str(ports[1])]
    return subprocess.Popen(
        [*command, *(["--project", str(project)] if project else [])],
        env=clean_environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def marked(home: Path) -> list[psutil.Process]:
    """Every process that a supervisor of this home started."""
    found = []
    for process in psutil.process_iter():
        try:
            if MARK in (environment := process.environ()) and environment.get("VECTOR_ASSETS_HOME") == str(home):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


def memory(processes: list[psutil.Process]) -> tuple[int, int]:
    """MiB of all together, as RSS and as PSS, which counts shared pages once."""
    infos = [process.memory_full_info() for process in processes]
    return sum(info.rss for info in infos) >> 20, sum(info.pss for info in infos) >> 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def logs(home: Path) -> str:
    """The ends of all logs, for a failing test's message."""
    return "\n".join(f"== {path.name}\n{path.read_text()[-1500:]}" for path in sorted(home.glob("logs/*.log")))

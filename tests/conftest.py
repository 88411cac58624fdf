"""One embedded Postgres for all tests that need one; each test has tables and collections of its own.

With a server in VECTOR_ASSETS_TEST_DATABASE_URL that one is used instead, as users have it: through a URL.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("VECTOR_ASSETS_BFLOAT16", "off")  # whether it is faster is measured, and differs by the load
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import psycopg  # noqa: E402 - after the environment that libraries read when they are imported
import pytest  # noqa: E402
from psycopg import sql  # noqa: E402

from vector_assets.runtime.home import own_folder  # noqa: E402
from vector_assets.runtime.postgres import ensure_postgres, remove_postgres  # noqa: E402
from vector_assets.spec import Collection  # noqa: E402
from vector_assets.stores.urls import DatabaseUrl  # noqa: E402
from vector_assets.stores.workspace import Workspace, open_workspace  # noqa: E402

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "encoder")]

from fakes import Declare, Execute  # noqa: E402 - a helper beside the tests, which are no package
from image_store import CountingImageEncoder  # noqa: E402
from real_servers import RealServer, named_server  # noqa: E402
from tiny import make_tiny_bert  # noqa: E402 - a helper beside the encoder's tests, which are no package
from tiny_vision import make_tiny_vision  # noqa: E402

from vector_assets.encoder.image.checkpoint import make_image_checkpoint  # noqa: E402

_OURS = ("HOME", "PROJECT", "ARTIFACTS", "DATABASE_URL", "READER_URL", "SCHEMA_PREFIX")
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def session_home() -> Iterator[Path]:
    """A VECTOR_ASSETS_HOME with a running server, unless another is named; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="va-tests-") as folder:
        home = Path(folder) / "home"
        if named_server():
            yield own_folder(home)
            return
        with psycopg.connect(ensure_postgres(home).url(), autocommit=True) as connection:
            connection.execute("alter system set fsync = off")  # nothing here has to outlive the machine
            connection.execute("select pg_reload_conf()")
        try:
            yield home
        finally:
            remove_postgres(home)


@pytest.fixture(scope="session")
def server(session_home: Path) -> RealServer:
    """The running server."""
    return named_server() or RealServer(DatabaseUrl.parse(ensure_postgres(session_home).url(), name="the tests"))


@pytest.fixture(scope="session")
def environment(server: RealServer, session_home: Path) -> Iterator[dict[str, str]]:
    """What names the session's home, and on another server a database of the session's own."""
    home = {"VECTOR_ASSETS_HOME": str(session_home)}
    if named_server() is None:
        yield home
        return
    database = f"va_tests_{os.getpid()}"
    server.run(f"create database {database}")
    yield {**home, "VECTOR_ASSETS_DATABASE_URL": server.url(database)}
    server.run(f"drop database {database} with (force)")


def _only(patch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name in (*(f"VECTOR_ASSETS_{name}" for name in _OURS), "MLFLOW_TRACKING_URI", "DAGSTER_HOME"):
        patch.delenv(name, raising=False)
    for name, value in environment.items():
        patch.setenv(name, value)


@pytest.fixture(scope="session")
def workspace(environment: dict[str, str]) -> Workspace:
    """The stores of the session's database, with MLflow's tables in another."""
    with pytest.MonkeyPatch.context() as patch:
        _only(patch, environment)
        opened = open_workspace()
        _ = opened.database
    return opened


@pytest.fixture
def in_workspace(workspace: Workspace, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The same, named by the environment, for code that opens a workspace by itself."""
    _only(monkeypatch, environment)
    return workspace


@pytest.fixture
def name() -> str:
    """A collection or table name that no other test uses."""
    return f"c{next(_numbers)}"


@pytest.fixture
def execute(workspace: Workspace) -> Execute:
    """Runs one statement in our database as a user with a tool of their own would; returns its rows."""

    def run(statement: str | sql.Composable, values: object = None) -> list[tuple[object, ...]]:
        with psycopg.connect(workspace.addresses.database.libpq, autocommit=True) as connection:
            cursor = connection.execute(statement, values)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def fresh_database(server: RealServer) -> Iterator[DatabaseUrl]:
    """An empty database on the same server."""
    name = f"fresh{next(_numbers)}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        yield DatabaseUrl.parse(server.url(name), name="the test")
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def declare(name: str) -> Declare:
    """A collection over the table ``public.<name>`` with fields title, body, topic and price; changed by keywords."""

    def make(**changes: object) -> Collection:
        values: dict[str, object] = {
            "name": name,
            "source": {"kind": "postgres", "table": name},
            "fields": {"title": "text", "body": "text", "topic": "category", "price": "number"},
            "spaces": {"text": {"fields": ["title", "body"]}},
        }
        return Collection.model_validate(values | changes)

    return make


@pytest.fixture
def animals(execute: Execute, name: str) -> Callable[[int], None]:
    """Fills ``public.<name>`` with rows 1..n: row i names animal i mod 4 in its title."""

    def fill(count: int) -> None:
        execute(
            f"create table {name} (id bigint primary key, title text, body text, topic text, price float8, note text)"
        )
        execute(
            f"insert into {name} select i, (array['cat','dog','owl','fish'])[1 + i % 4] || ' ' || i, 'body ' || i, "
            f"'t' || i % 3, i, 'n' from generate_series(1, {count}) i"
        )

    return fill


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """The address of a bucket of an S3 server of our own; where its packages are not installed the test skips."""
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'vector-assets[s3]'")
    server = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[s3]' flask-cors")
    import fsspec

    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    with pytest.MonkeyPatch.context() as patch:
        host, port = running.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3").mkdir("bucket")
        try:
            yield "s3://bucket"
        finally:
            running.stop()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BERT as a model folder."""
    return make_tiny_bert(tmp_path_factory.mktemp("tiny_model") / "model")


@pytest.fixture(scope="session")
def tiny_vision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random ResNet with its image processor, as a model folder."""
    return make_tiny_vision(tmp_path_factory.mktemp("tiny_vision") / "model")


@pytest.fixture
def images(tiny_vision: Path, tmp_path_factory: pytest.TempPathFactory) -> CountingImageEncoder:
    """The encoder of its stored checkpoint."""
    return CountingImageEncoder(make_image_checkpoint(tiny_vision, tmp_path_factory.mktemp("checkpoints")).folder)

"""Everything that a process needs to work on a project: database, stores, tracking, folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psycopg
from psycopg import sql

from vector_assets.encoder.canaries import CheckedEncoder
from vector_assets.encoder.checked import checked_encoder as checked_encoder
from vector_assets.errors import EncoderError
from vector_assets.runtime.home import artifacts_root, home
from vector_assets.runtime.locks import locked
from vector_assets.runtime.postgres import ensure_postgres
from vector_assets.search.engine import SearchEngine
from vector_assets.stores.checkpoints import CheckpointStore
from vector_assets.stores.database import READER, Database, Names
from vector_assets.stores.embeddings import EmbeddingStore
from vector_assets.stores.failures import FailureStore
from vector_assets.stores.generations import GenerationStore
from vector_assets.stores.indexes import IndexStore
from vector_assets.stores.kept_training_sets import TrainingSetStore
from vector_assets.stores.lexical.sync import LexicalStore
from vector_assets.stores.mlflow_runs import Tracking
from vector_assets.stores.preparing import prepare
from vector_assets.stores.raw import RawStore
from vector_assets.stores.reader import Reader
from vector_assets.stores.session_settings import checked_settings
from vector_assets.stores.urls import DatabaseUrl

DATABASE_VARIABLE = "VECTOR_ASSETS_DATABASE_URL"
READER_VARIABLE = "VECTOR_ASSETS_READER_URL"
PREFIX_VARIABLE = "VECTOR_ASSETS_SCHEMA_PREFIX"
OURS, DAGSTER, MLFLOW = "vector_assets", "dagster", "mlflow"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where our data, Dagster's storage and MLflow's tracking store are."""

    database: DatabaseUrl
    dagster: DatabaseUrl
    tracking: str
    embedded: bool


def locate() -> Addresses:
    """Return the addresses; the embedded server is started, and its databases made, when no URL is given."""
    named = os.environ.get(DATABASE_VARIABLE)
    tracking = os.environ.get("MLFLOW_TRACKING_URI")
    if named:
        url = DatabaseUrl.parse(named, name=DATABASE_VARIABLE)
        prefix = os.environ.get(PREFIX_VARIABLE, "")
        return Addresses(
            url, url.schema(prefix + DAGSTER), tracking or url.schema(prefix + MLFLOW).libpq, embedded=False
        )
    server = ensure_postgres(home())
    with (
        locked(home() / "databases.lock", timeout=60, purpose="making the databases"),
        psycopg.connect(server.url("postgres"), autocommit=True) as connection,
    ):
        there = {row[0] for row in connection.execute("select datname from pg_database").fetchall()}
        for name in (OURS, DAGSTER, MLFLOW):
            if name not in there:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    url = DatabaseUrl.parse(server.url(OURS), name="the embedded Postgres")
    return Addresses(url, url.database(DAGSTER), tracking or url.database(MLFLOW).libpq, embedded=True)


class Workspace:
    """The stores of one database, opened as they are needed."""

    def __init__(
        self, addresses: Addresses, *, home: Path, artifacts: str, settings: Mapping[str, str] | None = None
    ) -> None:
        """Use ``open_workspace`` instead."""
        self.settings = settings or {}
        self.addresses = addresses
        self.home = home
        self.artifacts = artifacts

    @cached_property
    def database(self) -> Database:
        """Our database, checked and migrated."""
        return prepare(self.addresses.database, os.environ.get(PREFIX_VARIABLE, ""))

    @cached_property
    def raw(self) -> RawStore:
        """Rows of collections."""
        return RawStore(self.database)

    @cached_property
    def checkpoints(self) -> CheckpointStore:
        """Checkpoints and trainings."""
        return CheckpointStore(self.database)

    @cached_property
    def training_sets(self) -> TrainingSetStore:
        """Training sets as they were drawn."""
        return TrainingSetStore(self.database)

    @cached_property
    def embeddings(self) -> EmbeddingStore:
        """Tables of vectors."""
        return EmbeddingStore(self.database)

    @cached_property
    def generations(self) -> GenerationStore:
        """Generations and what is live."""
        return GenerationStore(self.database)

    @cached_property
    def indexes(self) -> IndexStore:
        """Vector indexes."""
        return IndexStore(self.database)

    @cached_property
    def lexical(self) -> LexicalStore:
        """Indexes of words."""
        return LexicalStore(self.database)

    @cached_property
    def failures(self) -> FailureStore:
        """Rows that are set aside."""
        return FailureStore(self.database)

    @cached_property
    def tracking(self) -> Tracking:
        """MLflow, its tables made on first use under a lock."""
        tracking = Tracking(self.addresses.tracking, self.artifacts)
        marker = self.home / "mlflow.initialised"
        with locked(self.home / "mlflow.lock", timeout=120, purpose="making MLflow's tables"):
            if not marker.exists() or marker.read_text() != _mark(tracking.uri):
                if not self.addresses.embedded and "MLFLOW_TRACKING_URI" not in os.environ:
                    self._ensure_schema(MLFLOW)
                tracking.initialise()
                marker.write_text(_mark(tracking.uri))
        return tracking

    def dagster_url(self) -> str:
        """Return the address of Dagster's storage; on a server of the user's, its schema is made."""
        if not self.addresses.embedded:
            self._ensure_schema(DAGSTER)
        return self.addresses.dagster.dagster

    def mlflow_link(self, run_id: str, experiment: str | None) -> str:
        """Return the address of a run in the MLflow UI; ``up`` sets VECTOR_ASSETS_MLFLOW_UI; else port 5000."""
        base = os.environ.get("VECTOR_ASSETS_MLFLOW_UI", "http://127.0.0.1:5000").rstrip("/")
        return f"{base}/#/experiments/{experiment or 0}/runs/{run_id}?workflowType=machine_learning"

    def tracked_model(self, uri: str) -> Path:
        """Return the local folder of a registered model, ``models:/NAME@alias``."""
        return self.tracking.model_folder(uri)

    @property
    def checkpoint_folder(self) -> Path:
        """Where checkpoints are, each under its digest."""
        if "://" in self.artifacts:
            raise EncoderError(
                f"VECTOR_ASSETS_ARTIFACTS is {self.artifacts}; expected a folder, the only kind supported yet"
            )
        return Path(self.artifacts) / "checkpoints"

    def encoder(self, digest: str) -> CheckedEncoder:
        """Load a checkpoint by digest, contract and canaries checked."""
        return checked_encoder(self.checkpoints.get(digest))

    def search(self, collection: str) -> SearchEngine:
        """Return the search engine of a collection, which reads as the reader role."""
        _ = self.database
        return SearchEngine(self.reader(), collection, checked_encoder)

    def reader(self) -> Reader:
        """Connect as the reader: its own login on the embedded server, its own URL, or the role taken on."""
        names = Names(os.environ.get(PREFIX_VARIABLE, ""))
        own = os.environ.get(READER_VARIABLE)
        if own:
            return Reader(DatabaseUrl.parse(own, name=READER_VARIABLE), names, become=False, settings=self.settings)
        if self.addresses.embedded:
            return Reader(self.addresses.database.user(READER), names, become=False, settings=self.settings)
        return Reader(self.addresses.database, names, become=True, settings=self.settings)

    def _ensure_schema(self, name: str) -> None:
        """Make a schema for another program's tables, on a server that we have found fit."""
        _ = self.database
        schema = sql.Identifier(os.environ.get(PREFIX_VARIABLE, "") + name)
        with psycopg.connect(self.addresses.database.libpq, autocommit=True) as connection:
            connection.execute(sql.SQL("create schema if not exists {}").format(schema))


def open_workspace(settings: Mapping[str, str] | None = None) -> Workspace:
    """Open the workspace that the environment names; ``settings`` are those of the sessions that search."""
    checked = checked_settings(settings or {})
    return Workspace(locate(), home=home(), artifacts=artifacts_root(), settings=checked)


def _mark(uri: str) -> str:
    return uri.split("@")[-1]

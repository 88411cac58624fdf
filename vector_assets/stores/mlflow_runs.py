"""MLflow: every training run with its curves, and the registry that people browse."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vector_assets.errors import EncoderError
from vector_assets.runtime.owner import is_gone, process_mark
from vector_assets.stores.tracked_run import TrackedRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

BASE, CANDIDATE, CHAMPION = "base", "candidate", "champion"
PROCESS, KEY = "vector_assets/process", "training_key"
# Else MLflow's page takes an experiment for one of language models and hides what belongs to training.
_KIND = {"mlflow.experimentKind": "custom_model_development"}


class Tracking:
    """Experiments, runs and the model registry of one tracking store."""

    def __init__(self, uri: str, artifacts: str) -> None:
        """``artifacts`` is absolute: MLflow's own default depends on the working directory."""
        self.uri = uri
        self.artifacts = artifacts

    @contextmanager
    def run(
        self,
        experiment: str,
        name: str,
        *,
        tags: Mapping[str, str],
        parent: TrackedRun | None = None,
        again: str | None = None,
    ) -> Iterator[TrackedRun]:
        """Open a run; it ends FINISHED, FAILED when the block raises, KILLED when it is interrupted.

        A child is shown below its parent. A run knows its process, so that ``end_lost`` can tell when that is gone.
        With the id of a run in ``again`` that one goes on, if MLflow still has it.
        """
        client = self._client()
        experiment_id = self._experiment(client, experiment)
        tags = {**tags, PROCESS: process_mark()}
        if parent:
            tags = {**tags, "mlflow.parentRunId": parent.run_id}
        run_id = again if again and self._goes_on(client, again) else None
        run_id = run_id or client.create_run(experiment_id, run_name=name, tags=dict(tags)).info.run_id
        run = TrackedRun(client, run_id, experiment_id)
        try:
            yield run
        except BaseException as error:
            client.set_terminated(run.run_id, status="FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        client.set_terminated(run.run_id, status="FINISHED")

    def end_lost(self, experiment: str | None = None) -> list[str]:
        """Mark runs as KILLED whose process is gone, of one experiment or of all; return their ids.

        They end when they last logged something: when they were killed nobody knows.
        """
        client = self._client()
        if experiment is None:
            found = [one.experiment_id for one in client.search_experiments()]
        else:
            named = client.get_experiment_by_name(experiment)
            found = [named.experiment_id] if named else []
        running = client.search_runs(found, filter_string="attributes.status = 'RUNNING'") if found else []
        lost = [run for run in running if is_gone(run.data.tags.get(PROCESS))]
        for run in lost:
            last = max([run.info.start_time, *(metric.timestamp for metric in run.data.to_proto().metrics)])
            client.set_terminated(run.info.run_id, status="KILLED", end_time=last)
        return [str(run.info.run_id) for run in lost]

    def killed(self, experiment: str, training_key: str) -> TrackedRun | None:
        """Return the newest run of a training that was killed, to be continued by the next of the same key."""
        client = self._client()
        named = client.get_experiment_by_name(experiment)
        asked = f"attributes.status = 'KILLED' and tags.{KEY} = '{training_key}' and tags.arm = 'tuned'"
        found = client.search_runs([named.experiment_id], asked, max_results=1) if named else []
        return TrackedRun(client, found[0].info.run_id, found[0].info.experiment_id) if found else None

    def end_killed(self, run_id: str) -> None:
        """Say of a run that its process was killed; one that has ended, or is not there any more, stays as it is."""
        from mlflow.exceptions import MlflowException

        client = self._client()
        with suppress(MlflowException):
            if client.get_run(run_id).info.status == "RUNNING":
                client.set_terminated(run_id, status="KILLED")

    def _goes_on(self, client: MlflowClient, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            client.update_run(run_id, status="RUNNING")
            client.set_tag(run_id, PROCESS, process_mark())
        except MlflowException:
            return False
        return True

    def reopen(self, run_id: str) -> TrackedRun:
        """Return a run that has ended, to add a file or a number to it."""
        client = self._client()
        return TrackedRun(client, run_id, client.get_run(run_id).info.experiment_id)

    def register(self, run: TrackedRun, name: str, folder: str, *, tags: Mapping[str, str]) -> str:
        """Register the files below ``folder`` of a run as a version with alias ``candidate``; return the version."""
        source = f"{run.client.get_run(run.run_id).info.artifact_uri}/{folder}"
        version = self._version(run, name, source, tags)
        run.client.set_registered_model_alias(name, CANDIDATE, version)
        return version

    def register_base(self, run: TrackedRun, name: str, folder: Path, digest: str) -> str:
        """Point the alias ``base`` at the checkpoint that was trained from; return its version.

        Its files stay where they are, unless MLflow is a server, which takes no paths of another machine.
        """
        known = self._alias(name, BASE)
        if known is not None and known.tags.get("checkpoint") == digest:
            return str(known.version)
        source = folder.resolve().as_uri()
        if self.uri.startswith(("http://", "https://")):
            run.artifact(folder, folder="checkpoint")
            source = f"{run.client.get_run(run.run_id).info.artifact_uri}/checkpoint"
        version = self._version(run, name, source, {"checkpoint": digest, "arm": "base"})
        run.client.set_registered_model_alias(name, BASE, version)
        return version

    def set_candidate(self, name: str, version: str) -> None:
        """Point the alias ``candidate`` at the version that the space uses next; twice changes nothing."""
        self._point(name, CANDIDATE, version)

    def set_champion(self, name: str, version: str) -> None:
        """Point the alias ``champion`` at the live version; saying it twice changes nothing."""
        self._point(name, CHAMPION, version)

    def champion(self, name: str) -> str | None:
        """Return the version that the alias ``champion`` names."""
        return self.aliased(name, CHAMPION)

    def aliased(self, name: str, alias: str) -> str | None:
        """Return the version that an alias names; None where there is no such alias."""
        found = self._alias(name, alias)
        return str(found.version) if found else None

    def model_folder(self, uri: str) -> Path:
        """Return the local folder of ``models:/NAME@alias`` or ``models:/NAME/VERSION``; raises EncoderError."""
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        client = self._client()
        name, _, alias = uri.removeprefix("models:/").partition("@")
        try:
            if alias:
                source = client.get_model_version_by_alias(name, alias).source
            else:
                name, _, version = name.rpartition("/")
                source = client.get_model_version(name, version).source
        except MlflowException as error:
            reason = str(error).split("\n")[0]
            raise EncoderError(f"encoder {uri}: {reason}; expected models:/NAME@alias of a registered model") from None
        if source is None:
            raise EncoderError(f"encoder {uri}: the version has no files")
        return Path(download_artifacts(artifact_uri=source, tracking_uri=self.uri))

    def initialise(self) -> None:
        """Create the store's tables. Called once, under a lock: MLflow fails when two do it at once."""
        self._client().search_experiments(max_results=1)

    def _point(self, name: str, alias: str, version: str) -> None:
        if self.aliased(name, alias) != version:
            self._client().set_registered_model_alias(name, alias, version)

    def _alias(self, name: str, alias: str) -> ModelVersion | None:
        from mlflow.exceptions import MlflowException

        try:
            return self._client().get_model_version_by_alias(name, alias)
        except MlflowException:
            return None

    def _version(self, run: TrackedRun, name: str, source: str, tags: Mapping[str, str]) -> str:
        from mlflow.exceptions import MlflowException

        try:
            run.client.create_registered_model(name, tags={"collection": name.partition(".")[0]})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return str(run.client.create_model_version(name, source, run_id=run.run_id, tags=dict(tags)).version)

    def _experiment(self, client: MlflowClient, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            location = f"{self.artifacts}/mlflow/{name}"
            return str(client.create_experiment(name, artifact_location=location, tags=_KIND))
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def _client(self) -> MlflowClient:
        # Set before the import: telemetry starts with it, and a hub is never asked.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

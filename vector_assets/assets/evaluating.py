"""What a measured generation shows of its calibration and recall: a table, pictures, the way to MLflow."""

import dagster as dg

from vector_assets.assets.metadata import Metadata, table
from vector_assets.assets.pictures import picture
from vector_assets.records import Generation
from vector_assets.stores.calibrations import known_calibrations
from vector_assets.stores.candidate_runs import Logged
from vector_assets.stores.collection import CollectionStore


def generation_metadata(store: CollectionStore, generation: Generation, told: Logged) -> Metadata:
    """Return a line for each calibrated method, the pictures, and the MLflow run."""
    known = known_calibrations(store, generation)
    found: Metadata = {name: picture(path) for name, path in told.pictures.items()}
    if known:
        found["calibration"] = table(
            [
                {
                    "method": name,
                    "ece": round(each.calibrated.reliability.ece, 4) if each.calibrated.reliability else None,
                    "stated_precision": each.kept.stated,
                    "threshold": round(each.kept.threshold, 6) if each.kept.threshold is not None else None,
                    "found_precision": round(each.kept.precision, 4) if each.kept.precision is not None else None,
                    "answered": round(each.kept.answered, 4) if each.calibrated.reliability else None,
                    "form": each.calibrated.form,
                    "questions": each.calibrated.questions,
                }
                for name, each in known.items()
            ]
        )
    found["mlflow_run"] = dg.MetadataValue.url(store.workspace.mlflow_link(told.run_id, told.experiment))
    return found

"""The encoders of a collection: which checkpoints it uses, loaded once and compared with what was stored of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from vector_assets.embedding.layout import Layout, SpaceEncoder, plan_layout
from vector_assets.embedding.question import question_vectors
from vector_assets.encoder.canaries import CheckedEncoder
from vector_assets.encoder.image.samples import ImageText, from_text
from vector_assets.encoder.intact import require_intact
from vector_assets.errors import CanaryMismatch, NotFound
from vector_assets.index.integrity import Checked, check_canaries_found
from vector_assets.records import Checkpoint, Encoder, Generation, Vectors
from vector_assets.spec import Collection
from vector_assets.stores.canary_findings import compared, loaded
from vector_assets.stores.workspace import Workspace


class CollectionEncoders:
    """The part of CollectionStore that lays out vectors, encodes, and checks what encodes; it needs no rows."""

    def __init__(self, workspace: Workspace, collection: Collection) -> None:
        """Keep both; encoders are loaded when they are needed."""
        self.workspace = workspace
        self.collection = collection
        self._encoders: dict[str, CheckedEncoder] = {}

    def layout(self) -> Layout:
        """Lay out the vector from the checkpoints that the encoder assets chose; raises NotFound before they did."""
        encoders = {}
        for space in self.collection.spaces:
            stored = self.workspace.checkpoints.encoder(self.collection.name, space)
            if stored is None:
                raise NotFound(
                    f"encoder {self.collection.name}/{space} has no checkpoint yet; "
                    f"run vector-assets materialize {self.collection.name} --stage encoder"
                )
            self.require_intact(stored.checkpoint)  # or a generation would be made of what is not there any more
            contract = self.workspace.checkpoints.get(stored.checkpoint).contract
            encoders[space] = SpaceEncoder(stored.checkpoint, int(str(contract["dims"])))
        return plan_layout(self.collection, encoders)

    def encoders(self, generation: Generation) -> Callable[[], Mapping[str, Encoder]]:
        """Return a loader of a generation's encoders, so that a sync with nothing to encode loads none.

        Their files are compared at once: a sync whose checkpoint was changed writes nothing, whatever it has to do.
        """
        for digest in sorted(set(generation.checkpoints.values())):
            self.require_intact(digest)
        return lambda: {part.space: self._encoder(part.checkpoint) for part in generation.parts}

    def questions(self, generation: Generation, texts: Sequence[str]) -> Vectors:
        """Encode questions with a generation's checkpoints: (n, dims), unit length. Some may be images as text."""
        pictured = np.array([isinstance(text, ImageText) for text in texts], np.bool_)
        if not pictured.any():
            return question_vectors(generation, self._encoder, texts=texts)
        vectors = np.zeros((len(texts), generation.dims), np.float32)
        images = [from_text(text) for text in texts if isinstance(text, ImageText)]
        vectors[pictured] = question_vectors(generation, self._encoder, images=images)
        if not pictured.all():
            words = [text for text in texts if not isinstance(text, ImageText)]
            vectors[~pictured] = question_vectors(generation, self._encoder, texts=words)
        return vectors

    def canaries(self, generation: Generation) -> Checked:
        """Compare canaries of all checkpoints, in bulk and on the query path; the worst is reported."""
        reports = [compared(self.workspace, self.collection.name, part.checkpoint) for part in generation.parts]
        worst = min(reports, key=lambda report: (report.passed, min(report.query_cosine, report.document_cosine)))
        return check_canaries_found(
            worst.query_cosine, worst.document_cosine, query_bound=worst.query_bound,
            document_bound=worst.document_bound, passed=all(report.passed for report in reports), sides=worst.sides,
        )  # fmt: skip

    def refusal(self, generation: Generation) -> str:
        """Return why a generation's encoders answer no questions here, since their canaries have moved; "" if they do.

        Raises ContractMismatch for other files, which are to be put back.
        """
        try:
            self.encoders(generation)()
        except CanaryMismatch as error:
            return str(error)
        return ""

    def require_intact(self, digest: str) -> None:
        """Compare a checkpoint's files with its digest; one that is loaded is what was compared."""
        if digest not in self._encoders:
            require_intact(self.workspace.checkpoints.get(digest), noted=True)

    def load(self, checkpoint: Checkpoint) -> Encoder:
        """Load the encoder of a checkpoint once, as a SearchEngine asks for it."""
        return self._encoder(checkpoint.digest)

    def _encoder(self, digest: str) -> CheckedEncoder:
        if digest not in self._encoders:
            self._encoders[digest] = loaded(self.workspace, self.collection.name, digest)
        return self._encoders[digest]

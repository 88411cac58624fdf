"""The stages that learn from texts, or images, alone, as declared: the only one, or before another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vector_assets.spec import Training
from vector_assets.training.network import Network
from vector_assets.training.objectives import Denoising, Distillation, DropoutPairs, TextObjective, Views
from vector_assets.training.stages import TextStage
from vector_assets.training.teacher import Teacher


@dataclass(frozen=True, slots=True)
class Texts:
    """What such a stage is made of."""

    network: Network
    training: Training
    widths: Sequence[int]
    teacher: Teacher | None

    def only(self, texts: Sequence[str], ids: Sequence[Sequence[int]], *, steps: int | None) -> TextStage:
        """Return the one stage of an objective without labels; validation is looked at as it is with pairs."""
        asked = self.training
        return TextStage(
            self.network, self._objective(asked.objective, texts), ids, name="train", epochs=asked.max_epochs,
            batch_size=asked.batch_size, learning_rate=asked.learning_rate, looks=asked.evaluations_per_epoch,
            steps=steps,
        )  # fmt: skip

    def before(self, ids: Sequence[Sequence[int]]) -> TextStage:
        """Return the stage that comes before pairs or labels; nothing is looked at until it has ended."""
        asked = self.training.pretrain
        assert asked is not None, "nothing is declared to come first"
        return TextStage(
            self.network, self._objective(asked.objective), ids, name="pretrain", epochs=asked.epochs,
            batch_size=asked.batch_size, learning_rate=asked.learning_rate, looks=0,
        )  # fmt: skip

    def _objective(self, name: str, texts: Sequence[str] = ()) -> TextObjective:
        if name == "distillation":
            assert self.teacher is not None, "distillation has a teacher"
            return Distillation(self.teacher.vectors(texts))
        if name == "denoising":
            return Denoising()
        if name == "views":
            return Views()
        served = (self.network.dims,) if self.network.dims < self.network.width else ()
        return DropoutPairs(self.widths or served)

"""A vision model while it learns. What it calls ids are numbers of pictures: it looks their pixels up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from vector_assets.encoder.image.contract import read_image_contract
from vector_assets.encoder.image.model import VisionModel
from vector_assets.encoder.quiet import quiet
from vector_assets.errors import EncoderError
from vector_assets.records import Vectors
from vector_assets.spec import Augment
from vector_assets.training.image.augmenting import moved
from vector_assets.training.image.pictures import Pictures
from vector_assets.training.network import Network

if TYPE_CHECKING:
    import torch

_BATCH = 64  # images encoded at once


class ImageNetwork(Network):
    """The image checkpoint of a folder, of which some tensors can learn.

    ``trainable`` is ``last_<k>`` stages or layers, ``all``, ``head`` or ``none``. Running statistics of normalisation
    (of convolutional networks) belong to the stage that they stand in: where it learns, a step is normalised by its
    batch and moves them; where it is frozen they are used as they are, and stay. Dropout is off.
    """

    def __init__(self, folder: Path, pictures: Pictures, *, trainable: str, augment: Augment | None = None) -> None:
        # Not Network's own start, which loads a model of texts; what follows is all that its methods use.
        self.name, self.fast = str(folder), False
        contract = read_image_contract(folder)
        self._vision = VisionModel(folder, contract.pooling)
        self._model: Any = self._vision.module
        self._transformer: Any = self._model
        self._pictures, self._augment = pictures, augment
        self._adapted, self._mix, self._lower = False, None, None
        self._layers = _stages(self._model, folder)
        learning = {"all": len(self._layers), "head": 0, "none": 0}.get(trainable)
        self._frozen = max(0, len(self._layers) - (int(trainable[5:]) if learning is None else learning))
        self._model.requires_grad_(trainable == "all")
        learns = [self._model] if trainable == "all" else self._layers[self._frozen :]
        for part in learns:
            part.requires_grad_(True)
        for name, parameter in self._model.named_parameters():
            if name.startswith(self._vision.unused):
                parameter.requires_grad_(False)
        self._norms = _norms(learns)
        self.width = self.dims = contract.dims

    def embed(self, ids: Sequence[Sequence[int]], *, dropout: bool = False) -> torch.Tensor:
        """Return unit float32 vectors (images, width); where gradients are on, of images moved at random."""
        import torch

        pixels = torch.from_numpy(self._pictures.pixels(ids))
        learns = torch.is_grad_enabled()
        if learns and self._augment and self._augment.moves:
            pixels = moved(pixels, self._augment)
        with self._by_batch(on=learns and len(ids) > 1):
            found = self._vision.pooled(self._model(pixel_values=pixels))
        return torch.nn.functional.normalize(found.float(), dim=1)

    def encode(self, ids: Sequence[Sequence[int]]) -> Vectors:
        """Return the vectors of many images as they are served, without gradients."""
        import torch

        with torch.no_grad():
            parts = [self.embed(ids[start : start + _BATCH]).numpy() for start in range(0, len(ids), _BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dims), np.float32)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return copies of the tensors that learn, and of the statistics beside them."""
        moving = {id(buffer) for norm in self._norms for buffer in norm.buffers()}
        kept = {name: buffer.clone() for name, buffer in self._model.named_buffers() if id(buffer) in moving}
        return super().weights() | kept

    def learned(self) -> dict[str, torch.Tensor]:
        """Return the tensors of the stored model by its names, which are not always those here; none if none learns."""
        from safetensors.torch import load_file

        if not self.parameters():
            return {}
        with TemporaryDirectory() as folder, quiet():
            self._model.save_pretrained(folder)
            saved = [load_file(path) for path in sorted(Path(folder).glob("*.safetensors"))]
        unused = self._vision.unused
        return {name: value for each in saved for name, value in each.items() if not name.startswith(unused)}

    def prepare(self, ids: Iterable[Sequence[int]]) -> None:
        """Decode and preprocess these images once, as far as memory is allowed."""
        self._pictures.keep(ids)

    def forget(self) -> None:
        """Drop what ``prepare`` kept."""
        self._pictures.forget()

    def _named(self) -> Iterator[tuple[str, Any]]:
        yield from self._model.named_parameters()
        yield from self._model.named_buffers()

    @contextmanager
    def _by_batch(self, *, on: bool) -> Iterator[None]:
        """Normalise by the batch what learns, and let it move the running statistics; all else stays as it is."""
        for norm in self._norms:
            norm.train(on)
        try:
            yield
        finally:
            for norm in self._norms:
                norm.eval()


def _stages(model: Any, folder: Path) -> list[Any]:  # noqa: ANN401 - any vision model of transformers
    """Return the stages of a convolutional network, or the layers of a transformer, from the image on."""
    import torch

    stacks = {
        name.rpartition(".")[2]: list(module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and re.search(r"(^|\.)(stages|layers?)$", name)
    }
    found = stacks.get("stages") or max(stacks.values(), key=len, default=[])
    if not found:
        raise EncoderError(f"{folder}: no stack of stages or layers found in {type(model).__name__}")
    return found


def _norms(parts: Sequence[Any]) -> list[Any]:
    """Return the modules that keep running statistics."""
    import torch

    kind = torch.nn.modules.batchnorm._BatchNorm
    return [module for part in parts for module in part.modules() if isinstance(module, kind)]

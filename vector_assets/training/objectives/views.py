"""Views (SimCLR, Chen et al. 2020): an image moved at random finds itself, moved otherwise, among others of a batch.

The loss is the paper's NT-Xent over both directions, on what a small network makes of the vectors, which is dropped
afterwards: the vectors below it serve better (section 4.2 there). Temperature 0.1 and 128 outputs, as in the paper.
What moves the images is ``train.augment``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vector_assets.training.objectives.shared import EncoderAlone

if TYPE_CHECKING:
    import torch

    from vector_assets.training.network import Network

TEMPERATURE, OUTPUTS = 0.1, 128


class Views(EncoderAlone):
    """Two passes of the same images through the network, each moved anew."""

    def __init__(self) -> None:
        super().__init__()
        self._projection: torch.nn.Sequential | None = None

    def start(self, network: Network) -> None:
        """Keep the network and draw the weights of the projection by torch's own generator."""
        import torch

        super().start(network)
        self._projection = torch.nn.Sequential(
            torch.nn.Linear(network.width, network.width), torch.nn.ReLU(), torch.nn.Linear(network.width, OUTPUTS)
        )

    def loss(self, places: Sequence[int], ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the cross entropy of finding each view's other one among all views of the batch."""
        assert self._network is not None and self._projection is not None, "start comes first"
        return nt_xent(*(self._projection(self._network.embed(ids)) for _ in range(2)))

    def parameters(self) -> list[torch.nn.Parameter]:
        """Return those of the projection."""
        assert self._projection is not None, "start comes first"
        return list(self._projection.parameters())

    def state(self) -> dict[str, torch.Tensor]:
        """Return copies of the projection's."""
        assert self._projection is not None, "start comes first"
        return {name: one.detach().clone() for name, one in self._projection.state_dict().items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put an earlier state back."""
        assert self._projection is not None, "start comes first"
        self._projection.load_state_dict(dict(state))

    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Return what to log about it."""
        return {"objective": "views", "temperature": TEMPERATURE}


def nt_xent(first: torch.Tensor, second: torch.Tensor, temperature: float = TEMPERATURE) -> torch.Tensor:
    """Return formula 1 of the paper, averaged over all 2n views: (n, width) each, row i of both of one image."""
    import torch

    both = torch.nn.functional.normalize(torch.cat([first, second]), dim=1)
    scores = (both @ both.T / temperature).masked_fill(torch.eye(len(both), dtype=torch.bool), -torch.inf)
    return torch.nn.functional.cross_entropy(scores, torch.arange(len(both)).roll(len(first)))

"""Cross entropy over scores of which each process has the columns of its own classes.

As in ArcFace's model-parallel head (Deng et al. 2019, insightface's partial_fc_v2): the greatest score and the sum of
exponentials are reduced over the processes, a few numbers per example, and no process ever sees another's scores. The
loss is log(sum) minus the own score, not the log of a probability, which would be cut off where that is tiny.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from vector_assets.training.heads.collective import Collective


def cross_entropy(scores: torch.Tensor, places: torch.Tensor, group: Collective) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean loss of all examples, and its gradient by ``scores`` (examples, classes here), made in place.

    ``places`` (examples,) is the column of each example's own class, -1 where another process has it.
    """
    import torch

    rows = torch.nonzero(places >= 0).squeeze(1)
    own = places[rows]
    shares = scores.detach()
    shares -= group.greatest(shares.max(dim=1).values)[:, None]
    two = shares.new_zeros(2, len(places))  # the own score, and the sum of all exponentials
    two[0, rows] = shares[rows, own]
    shares.exp_()
    two[1] = shares.sum(dim=1)
    said, total = group.sum(two)
    loss = (total.log() - said).mean()
    shares /= total[:, None]
    shares[rows, own] -= 1
    shares /= len(places)
    return loss, shares

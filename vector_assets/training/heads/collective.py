"""What the processes that hold slices of one head say to each other: gather, greatest, sum."""

from __future__ import annotations

import os
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


def slices(count: int, parts: int) -> list[slice]:
    """Cut ``count`` things into contiguous parts, as even as can be: the first ones are longer by one."""
    least, longer = divmod(count, parts)
    starts = [place * least + min(place, longer) for place in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(starts)]


class Collective(Protocol):
    """The slices' processes, seen from one of them."""

    def gather(self, rows: torch.Tensor, count: int) -> torch.Tensor:
        """Return the ``count`` rows of all, of which each has its part as ``slices`` cuts them."""
        ...

    def greatest(self, values: torch.Tensor) -> torch.Tensor:
        """Return the greatest of all, by element; may change ``values``."""
        ...

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum over all, by element; may change ``values``."""
        ...


class Alone:
    """One process that holds every class."""

    def gather(self, rows: torch.Tensor, count: int) -> torch.Tensor:
        """Return the rows."""
        return rows

    def greatest(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values."""
        return values

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values."""
        return values


class Gloo:
    """Processes of this machine that meet at a file, over torch.distributed. One a process, since torch has one."""

    def __init__(self, *, rank: int, size: int, meeting: str, seconds: float) -> None:
        import psutil
        import torch.distributed as distributed

        for name, addresses in psutil.net_if_addrs().items():  # else it listens where the machine's name leads to
            if any(one.address == "127.0.0.1" for one in addresses):
                os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
        distributed.init_process_group(
            "gloo", init_method=f"file://{meeting}", rank=rank, world_size=size, timeout=timedelta(seconds=seconds)
        )
        self._size = size

    def gather(self, rows: torch.Tensor, count: int) -> torch.Tensor:
        """All-gather; parts are filled up to one length, since gloo knows no other."""
        import torch
        import torch.distributed as distributed

        lengths = [part.stop - part.start for part in slices(count, self._size)]
        filled = rows.new_zeros(lengths[0], *rows.shape[1:])
        filled[: len(rows)] = rows
        found = [torch.empty_like(filled) for _ in lengths]
        distributed.all_gather(found, filled)
        return torch.cat([one[:length] for one, length in zip(found, lengths, strict=True)])

    def greatest(self, values: torch.Tensor) -> torch.Tensor:
        """All-reduce by maximum."""
        import torch.distributed as distributed

        distributed.all_reduce(values, distributed.ReduceOp.MAX)
        return values

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """All-reduce by sum."""
        import torch.distributed as distributed

        distributed.all_reduce(values, distributed.ReduceOp.SUM)
        return values

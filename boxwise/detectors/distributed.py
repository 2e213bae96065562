"""The few collective operations of data-parallel training under torchrun; with one process each does nothing.

Gradients are averaged by hand after the backward pass rather than through DistributedDataParallel, because losses here
are computed outside `forward`. Knows nothing of networks' insides, samples or checkpoints.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from boxwise.errors import BoxwiseError
from boxwise.runtime import of_torchrun
from boxwise.workers.parent import end_with_parent


@dataclass(frozen=True)
class Ranks:
    """This process's place among `world` equal ones; rank 0 evaluates and writes."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, batch: int, pieces: int = 1) -> range:
        """The positions of a global batch that this process trains on, in `pieces`. Raises BoxwiseError if they cannot be equal."""
        if batch % (self.world * pieces):
            cut = f" in train.accumulate={pieces} pieces each" if pieces > 1 else ""
            expected = f"Expected a multiple of {self.world * pieces}."
            raise BoxwiseError(f"train.batch={batch} cannot be shared by {self.world} processes{cut}. {expected}")
        size = batch // self.world
        return range(self.rank * size, (self.rank + 1) * size)

    def average(self, tensors: Iterable[Tensor], *, of: Tensor | None = None) -> None:
        """Replace each tensor by its mean over all processes, in place: one collective for all of them.

        of: scalar, how many things a process's tensors are sums over; the mean is then over the things of all processes, at least one.
        """
        present = list(tensors)
        if not present or (self.world == 1 and of is None):
            return
        of = present[0].new_ones(()) if of is None else of
        flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in [*present, of]])
        if self.world > 1:
            dist.all_reduce(flat)
        flat /= flat[-1].clamp(min=1)
        for tensor, mean in zip(present, flat[:-1].split([t.numel() for t in present]), strict=True):
            tensor.detach().copy_(mean.view(tensor.shape))

    def gathered(self, tensor: Tensor) -> Tensor:
        """The tensors of all processes, equal in shape and without gradient, one behind the other in the order of the ranks."""
        if self.world == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.world)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    def from_first(self, value: Any) -> Any:
        """Rank 0's value of a picklable object, on every process."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def done_by_first(self, work: Callable[[], Any]) -> Any:
        """What `work`, done on rank 0 alone, returns, a picklable object, on every process; a BoxwiseError of it is raised on each."""
        found: Any = None
        if self.first:
            try:
                found = work()
            except BoxwiseError as error:
                found = error
        found = self.from_first(found)
        if isinstance(found, BoxwiseError):
            raise found
        return found

    def copy_first(self, module: nn.Module) -> None:
        """Give every process rank 0's parameters and buffers."""
        if self.world > 1:
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, src=0)


def join(device: torch.device) -> Ranks:
    """This process's place among those that torchrun started, joining their group once; alone without torchrun.

    One that has joined ends where torchrun is killed, and frees the study for the same command.
    """
    world = of_torchrun("WORLD_SIZE")
    if world == 1:
        return Ranks()
    if not dist.is_initialized():
        end_with_parent()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        try:
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        except ValueError as error:  # a variable is missing or wrong
            raise BoxwiseError(f"WORLD_SIZE={world}: expected all that torchrun sets, or none of it. {error}.") from None
        atexit.register(dist.destroy_process_group)  # a process that exits with the group's threads alive may abort
    return Ranks(dist.get_rank(), dist.get_world_size())

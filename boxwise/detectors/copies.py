"""Copies of a network that need not have tensors of their own.

Returns modules. Knows nothing of what a network detects.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

from torch import Tensor, nn

_Module = TypeVar("_Module", bound=nn.Module)


def copied(module: _Module, of: Callable[[Tensor], Tensor]) -> _Module:
    """A copy of the layers, without gradients, whose parameters and buffers are `of` those of `module`."""
    parameters = {id(each): nn.Parameter(of(each.detach()), requires_grad=False) for each in module.parameters()}
    return copy.deepcopy(module, parameters | {id(each): of(each) for each in module.buffers()})


def shared(tensor: Tensor) -> Tensor:
    """The tensor itself: such a copy takes no memory, and changes as the network does."""
    return tensor

"""Copies of a network that need not have tensors of their own.

Returns modules. Knows nothing of what a network detects.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor, nn

_PLAIN = (dict, OrderedDict, set)
_Module = TypeVar("_Module", bound=nn.Module)


def copied(module: _Module, of: Callable[[Tensor], Tensor]) -> _Module:
    """A copy of the layers, without gradients, whose parameters and buffers are `of` those of `module`."""
    parameters = {id(each): nn.Parameter(of(each.detach()), requires_grad=False) for each in module.parameters()}
    own: dict[int, Any] = parameters | {id(each): of(each) for each in module.buffers()}
    for part in module.modules():  # each has ten empty collections of hooks, which take deepcopy longer than all the rest
        own.update((id(value), type(value)()) for value in vars(part).values() if type(value) in _PLAIN and not value)
    return copy.deepcopy(module, own)


def shared(tensor: Tensor) -> Tensor:
    """The tensor itself: such a copy takes no memory, and changes as the network does."""
    return tensor

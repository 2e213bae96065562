"""Networks that others have trained on many photographs, as embedders, and how their weights come into them.

Returns embedders in eval mode. Weights that do not fit are refused. Knows nothing of any one network.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from boxwise.detectors.backbones import check_tensors
from boxwise.detectors.base import ImageBatch
from boxwise.detectors.input import InputSpec, in_bytes
from boxwise.detectors.loading import to_device
from boxwise.detectors.weights_file import read_torch, tensors_in
from boxwise.embedders.base import fingerprint
from boxwise.embedders.names import NEEDS_EXTRA, PACKAGES
from boxwise.errors import ConfigError

SIDE = 224  # pixels: what they were trained at. The whole image is squeezed into it, since objects lie at its borders as well
OTHERS = "or choose another embedder: `boxwise methods embedders` lists them"


class NetworkFeatures:
    """What `network` makes of images, L2-normalised. network: from float [B, 3, H, W], normalised as `spec` says, to [B, D]."""

    def __init__(self, network: nn.Module, spec: InputSpec, *, device: torch.device) -> None:
        self._network = network.float().eval().requires_grad_(False).to(memory_format=torch.channels_last).to(device)
        self._device, self.input = device, spec
        self._mean, self._std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (spec.mean, spec.std))
        self.identity = fingerprint(network.state_dict(), spec)

    @torch.inference_mode()
    def embed(self, batch: ImageBatch) -> NDArray[np.float32]:
        pixels, _ = to_device(batch, self._device)
        features = self._network((pixels.float() - self._mean) / self._std)
        return F.normalize(features, dim=1).cpu().numpy()


def spec_of(side: int, mean: tuple[float, float, float], std: tuple[float, float, float]) -> InputSpec:
    return InputSpec(side, mean=in_bytes(mean), std=in_bytes(std))


def package_of(name: str) -> Any:
    try:
        return import_module(PACKAGES[name])
    except ImportError as error:
        raise ConfigError(NEEDS_EXTRA.format(name=name, package=error.name)) from None


def torch_tensors(file: Path, expected: str) -> Mapping[str, Tensor]:
    return tensors_in(read_torch(file, expected), file, expected)


def fill(network: nn.Module, state: Mapping[str, Tensor], origin: str, what: str) -> None:
    check_tensors(network, state, origin, what)
    network.load_state_dict(state, strict=False)  # strict but for num_batches_tracked, which old files lack

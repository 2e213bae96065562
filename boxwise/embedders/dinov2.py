"""DINOv2 of the package transformers (extra [hf]): trained without labels on 142 million images.

Returns an embedder with weights from the hub, a folder or a file. What is no DINOv2 is refused, which the package would fill up at random.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from boxwise.config.methods import DinoOptions
from boxwise.detectors import hub
from boxwise.detectors.backbones import IMAGENET_MEAN, IMAGENET_STD
from boxwise.embedders.base import EmbedderContext
from boxwise.embedders.network import OTHERS, SIDE, NetworkFeatures, fill, package_of, spec_of, torch_tensors
from boxwise.errors import BoxwiseError

_SMALL = {"hidden_size": 384, "num_attention_heads": 6, "image_size": 518}  # of DINOv2-small; the rest is the package's default


def dinov2_small(options: DinoOptions, given: EmbedderContext) -> NetworkFeatures:
    """The class token of DINOv2 (Oquab et al., TMLR 2024), ViT-S/14 unless a folder says another; float32 [B, 384].

    Raises BoxwiseError for weights that cannot be had or do not fit, ConfigError without the package transformers.
    """
    package, place = package_of("dinov2_small"), Path(options.weights).expanduser()
    with torch.random.fork_rng(devices=[]):
        model = (
            _dino_of_file(package, place) if place.is_file() else _dino_of_hub(package, str(place) if place.is_dir() else options.weights)
        )
    patch = int(model.config.patch_size)
    return NetworkFeatures(_ClassToken(model), spec_of(SIDE // patch * patch, IMAGENET_MEAN, IMAGENET_STD), device=given.device)


class _ClassToken(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        token: Tensor = self.model(pixel_values=pixels).last_hidden_state[:, 0]
        return token


def _dino_of_hub(package: Any, weights: str) -> Any:
    """Of a name at the hub or a folder. What is no DINOv2 would be filled up at random by the package, and is refused."""
    ways_out = f"Give a folder of save_pretrained, a file of its tensors, or a name at the hub, {OTHERS}."
    with hub.loading(f"embedding.dinov2_small.weights={weights}", "DINOv2", ways_out=ways_out):
        config = package.AutoConfig.from_pretrained(weights)
        if config.model_type != "dinov2":
            raise ValueError(f"it is a {config.model_type}")
        return hub.whole(package.Dinov2Model, weights, config=config)


def _dino_of_file(package: Any, file: Path) -> Any:
    expected = "the tensors of a DINOv2-small"
    read = _safetensors if file.suffix == ".safetensors" else torch_tensors
    model = package.Dinov2Model(package.Dinov2Config(**_SMALL))
    fill(model, read(file, expected), str(file), "DINOv2-small")
    return model


def _safetensors(file: Path, expected: str) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise BoxwiseError(f"{file}: expected {expected}, found a file safetensors cannot read ({error}).") from None

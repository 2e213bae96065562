"""EfficientNet-Lite0 of the package timm (extra [hf]): quick on a CPU.

Returns an embedder with the weights of timm's release, from a file or by download.
"""

from __future__ import annotations

import re

import torch

from boxwise.config.methods import EfficientNetOptions
from boxwise.detectors.backbones import HALF
from boxwise.detectors.pretrained import Release, downloaded
from boxwise.embedders.base import EmbedderContext
from boxwise.embedders.network import OTHERS, SIDE, NetworkFeatures, fill, package_of, spec_of, torch_tensors

_WAYS_OUT = f"put a copy of that file at {{file}}, or name it with embedding.efficientnet_lite0.weights=FILE, {OTHERS}"


def efficientnet_lite0(options: EfficientNetOptions, given: EmbedderContext) -> NetworkFeatures:
    """Pooled features of EfficientNet-Lite0 (after Tan & Le, ICML 2019) trained on ImageNet; float32 [B, 1280].

    Raises BoxwiseError for a download that fails and a file that does not fit, ConfigError without the package timm.
    """
    timm = package_of("efficientnet_lite0")
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and replaced
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    release = _release(timm.get_pretrained_cfg("tf_efficientnet_lite0").url)
    file = options.weights or downloaded(release, _WAYS_OUT)
    state = torch_tensors(file, "the weights of tf_efficientnet_lite0, as timm releases them")
    fill(network, {key: value for key, value in state.items() if not key.startswith("classifier.")}, str(file), "tf_efficientnet_lite0")
    return NetworkFeatures(network, spec_of(SIDE, HALF, HALF), device=given.device)


def _release(url: str) -> Release:
    """Its file's name ends with the first digits of the checksum."""
    digits = re.search(r"-([0-9a-f]{8})\.pth$", url)
    assert digits is not None  # timm names its files so
    return Release(url, digits[1])

"""What every embedder promises, for each one that has a name; those of other packages' networks with small random weights."""

from importlib.util import find_spec

import pytest
from small_embedders import random_efficientnet, small_dino

from boxwise.config import EmbeddingConfig
from boxwise.embedders.names import PACKAGES
from boxwise.registry import EMBEDDERS
from boxwise.testing import EmbedderContract


def _param(name: str):
    package = PACKAGES.get(name)
    missing = package is not None and find_spec(package) is None
    return pytest.param(name, marks=pytest.mark.skipif(missing, reason=f"{package} is not installed: needs the extra [hf]"))


class TestEmbedders(EmbedderContract):
    names = tuple(_param(name) for name in EMBEDDERS)

    def config(self, name: str) -> EmbeddingConfig:
        weights = {"efficientnet_lite0": random_efficientnet, "dinov2_small": small_dino}
        return EmbeddingConfig(**{name: {"weights": str(weights[name]())}} if name in weights else {})

"""What embedders are built for, in small."""

import numpy as np
import pytest
import torch

from boxwise.config import DetectorConfig, VaeConfig
from boxwise.detectors.detector import build_detector
from boxwise.embedders.base import EmbedderContext


@pytest.fixture
def circumstances():
    """A function from records, and a folder, to what an embedder is built for."""

    def made(records=(), folder=None, seed=0, **vae):
        device = torch.device("cpu")
        config = DetectorConfig(name="tiny_ssd", imgsz=96, pretrained=False)
        return EmbedderContext(
            device,
            lambda: build_detector("tiny_ssd", ("thing",), config, seed=0, device=device),
            lambda: records,
            VaeConfig(**({"size": 32, "width": 4, "latent": 8, "steps": 3, "batch": 8} | vae)),
            lambda: np.random.default_rng(seed),
            folder,
        )

    return made

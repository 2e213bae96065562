"""Weights for the embedders of the extra [hf], drawn at random: there is no download here."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

_FOLDERS: list[TemporaryDirectory[str]] = []  # they go when Python does


def _folder() -> Path:
    _FOLDERS.append(TemporaryDirectory(prefix="boxwise-embedder-"))
    return Path(_FOLDERS[-1].name)


@cache
def random_efficientnet() -> Path:
    """A file as timm releases them, classifier included."""
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    path = _folder() / "tf_efficientnet_lite0.pth"
    torch.save(network.state_dict(), path)
    return path


@cache
def small_dino() -> Path:
    """A folder with a small DINOv2, as the package transformers saves one."""
    import transformers

    config = transformers.Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14)
    path = _folder()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.Dinov2Model(config).save_pretrained(path)
    return path

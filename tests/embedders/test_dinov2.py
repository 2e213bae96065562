"""DINOv2: the class token of the package's model; faults of what is named are one message."""

import numpy as np
import pytest
import torch
from small_embedders import small_dino

from boxwise.config.methods import DinoOptions
from boxwise.detectors.loading import batch_of
from boxwise.embedders.dinov2 import _SMALL, dinov2_small
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord

transformers = pytest.importorskip("transformers", reason="needs the extra [hf]")


MEAN, STD = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def made(circumstances, weights):
    return dinov2_small(DinoOptions(weights=str(weights)), circumstances())


def test_a_row_is_the_direction_of_the_class_token(circumstances):
    pixels = torch.randint(0, 256, (3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    embedder = made(circumstances, small_dino())
    found = embedder.embed(batch_of([ImageRecord("a", "a", 224, 224)], [pixels], embedder.input))
    model = transformers.Dinov2Model.from_pretrained(small_dino()).eval()
    with torch.no_grad():
        expected = model(pixel_values=((pixels / 255 - MEAN) / STD)[None]).pooler_output[0].numpy()
    np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), atol=1e-5)


@pytest.mark.slow  # of the usual size
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_of_its_tensors_serves_as_well(circumstances, tmp_path, suffix):
    from safetensors.torch import save_file

    model = transformers.Dinov2Model(transformers.Dinov2Config(**_SMALL))
    model.save_pretrained(tmp_path / "folder")
    file = tmp_path / f"model.{suffix}"
    save_file(model.state_dict(), file) if suffix == "safetensors" else torch.save(model.state_dict(), file)
    assert made(circumstances, file).identity == made(circumstances, tmp_path / "folder").identity


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_of_something_else_is_one_message(circumstances, tmp_path, suffix):
    file = tmp_path / f"model.{suffix}"
    file.write_bytes(b"no tensors")
    with pytest.raises(BoxwiseError, match=rf"model\.{suffix}: expected the tensors of a DINOv2-small, found a file"):
        made(circumstances, file)


def test_another_model_is_refused_and_not_filled_up_at_random(circumstances, tmp_path):
    config = transformers.ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    transformers.ViTModel(config).save_pretrained(tmp_path)
    with pytest.raises(BoxwiseError, match=r"cannot be loaded as a DINOv2 \(it is a vit\)"):
        made(circumstances, tmp_path)


def test_a_folder_that_lacks_tensors_is_refused(circumstances, tmp_path):
    from safetensors.torch import load_file, save_file

    (tmp_path / "config.json").write_bytes((small_dino() / "config.json").read_bytes())
    state = load_file(small_dino() / "model.safetensors")
    save_file(
        {key: value for key, value in state.items() if not key.startswith("layernorm")}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(BoxwiseError, match=r"it lacks 2 tensors, such as layernorm\.bias"):
        made(circumstances, tmp_path)


def test_a_hub_out_of_reach_says_the_ways_out(circumstances, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BoxwiseError, match=r"weights=boxwise/there-is-none: cannot be loaded .*Give a folder of save_pretrained"):
        made(circumstances, "boxwise/there-is-none")

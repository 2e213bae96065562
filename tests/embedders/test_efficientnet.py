"""EfficientNet-Lite0: the network and the weights are timm's, faults of the file are one message."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_embedders import random_efficientnet

from boxwise.config.methods import EfficientNetOptions
from boxwise.detectors import pretrained
from boxwise.detectors.loading import batch_of
from boxwise.embedders.efficientnet import efficientnet_lite0
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord

timm = pytest.importorskip("timm", reason="needs the extra [hf]")


def made(circumstances, file):
    return efficientnet_lite0(EfficientNetOptions(weights=file), circumstances())


def test_a_row_is_the_direction_of_timms_pooled_features(circumstances):
    pixels = torch.randint(0, 256, (3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    embedder = made(circumstances, random_efficientnet())
    found = embedder.embed(batch_of([ImageRecord("a", "a", 224, 224)], [pixels], embedder.input))
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0).eval()
    state = torch.load(random_efficientnet(), weights_only=True)
    network.load_state_dict({key: value for key, value in state.items() if not key.startswith("classifier.")})
    with torch.no_grad():
        expected = network((pixels[None].float() / 255 - 0.5) / 0.5)[0].numpy()
    np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_other_weights_have_another_identity(circumstances, tmp_path):
    state = torch.load(random_efficientnet(), weights_only=True)
    state["conv_stem.weight"][0] += 1
    torch.save(state, tmp_path / "other.pth")
    assert made(circumstances, tmp_path / "other.pth").identity != made(circumstances, random_efficientnet()).identity


def test_a_file_of_other_weights_and_a_truncated_one_are_one_message(circumstances, tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(BoxwiseError, match=r"other\.pth: not the weights of a tf_efficientnet_lite0: expected its \d+ tensors, found 1"):
        made(circumstances, tmp_path / "other.pth")
    (tmp_path / "cut.pth").write_bytes(random_efficientnet().read_bytes()[:1000])
    with pytest.raises(BoxwiseError, match=r"cut\.pth: expected the weights of tf_efficientnet_lite0, as timm releases them, found a file"):
        made(circumstances, tmp_path / "cut.pth")


def test_a_download_is_checked_and_a_failing_one_says_the_ways_out(circumstances, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    file = shutil.copy(random_efficientnet(), tmp_path / "lite0-00000000.pth")
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda name: SimpleNamespace(url=file.as_uri()))
    with pytest.raises(BoxwiseError, match=r"cannot be downloaded \(invalid hash.*embedding\.efficientnet_lite0\.weights=FILE"):
        efficientnet_lite0(EfficientNetOptions(), circumstances())
    assert not list((tmp_path / "torch").rglob("*.pth"))


def test_the_released_file_has_the_place_that_the_message_names(circumstances, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = timm.get_pretrained_cfg("tf_efficientnet_lite0").url
    place = pretrained.Release(url, "").file
    place.parent.mkdir(parents=True)
    place.write_bytes(random_efficientnet().read_bytes())
    found = efficientnet_lite0(EfficientNetOptions(), circumstances())
    assert found.identity == made(circumstances, random_efficientnet()).identity


def test_real_weights_put_crops_of_a_photograph_nearer_than_another_photograph(shared_data, shared_weights, circumstances):
    from PIL import Image

    embedder = made(circumstances, shared_weights / "tf_efficientnet_lite0.pth")
    paths = sorted((shared_data / "fod").rglob("*.jpg"))
    images = [Image.open(path).convert("RGB") for path in (paths[0], paths[-1])]
    whole = [torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images]
    pixels = [whole[0], whole[0][:, 8:, 8:], whole[1]]
    rows = embedder.embed(batch_of([ImageRecord(str(n), "", 1, 1) for n in range(3)], pixels, embedder.input))
    assert rows[0] @ rows[1] > 0.8 > rows[0] @ rows[2]

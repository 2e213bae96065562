import pytest
import torch
from torch import nn

from boxwise.detectors import fusion
from boxwise.detectors.backbones import BackboneWeights
from boxwise.detectors.fusion import ActivatedConv, for_inference, fused, has_activated_convolutions
from boxwise.detectors.names import DETECTORS


@pytest.mark.parametrize("quicker", [fused, for_inference])
@pytest.mark.parametrize("name", ["tiny_ssd", "ssdlite320_mobilenet_v2", "yolox_nano", "yolox_tiny", "fasterrcnn_mobilenet_v3_large_fpn"])
@pytest.mark.slow
def test_a_fused_copy_says_the_same_and_the_network_stays(name, quicker):
    torch.manual_seed(0)
    network = DETECTORS[name].build()(3, 96, BackboneWeights(pretrained=False)).eval()
    for module in network.modules():  # statistics that are not the identity
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    merged = quicker(network)
    pixels = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    valid = torch.tensor([[96, 96], [96, 96]])
    with torch.inference_mode():
        plain, quick = network.embeddings(network(pixels, valid)), network.embeddings(merged(pixels, valid))
        expected = [each.expected_losses(each(pixels, valid)) for each in (network, merged)]
    assert torch.allclose(plain, quick, atol=1e-4) and torch.allclose(*expected, rtol=1e-3)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    norms = [sum(isinstance(module, nn.BatchNorm2d) for module in each.modules()) for each in (network, merged)]
    assert norms[1] == 0 and (norms[0] > 0) == (name != "tiny_ssd")  # tiny_ssd normalises by groups


def test_activations_are_part_of_the_convolutions_where_torch_can():
    network = DETECTORS["yolox_nano"].build()(3, 96, BackboneWeights(pretrained=False))
    merged = for_inference(network)
    assert has_activated_convolutions()  # of the torch that this is tested with
    activated = sum(isinstance(module, ActivatedConv) for module in merged.modules())
    assert activated == sum(isinstance(module, nn.SiLU) for module in network.modules())
    assert not any(isinstance(module, nn.SiLU | nn.Identity) for module in merged.modules())  # nor does anything call what does nothing


def test_what_nothing_is_folded_into_is_not_there_twice():
    network = DETECTORS["ssd300_vgg16"].build()(3, 300, BackboneWeights(pretrained=False))
    merged = fused(network)
    mine, theirs = ({each.data_ptr() for each in module.parameters()} for module in (network, merged))
    assert mine == theirs and all(each.requires_grad for each in network.parameters())
    assert network.training and not any(each.requires_grad for each in merged.parameters()) and not merged.training


def test_where_torch_cannot_activations_stay_apart(monkeypatch):
    monkeypatch.setattr(fusion, "has_activated_convolutions", lambda: False)
    merged = for_inference(DETECTORS["yolox_nano"].build()(3, 96, BackboneWeights(pretrained=False)))
    assert not any(isinstance(module, ActivatedConv) for module in merged.modules())


def test_a_torch_without_the_call_is_recognised(monkeypatch):
    def absent(*_):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(ActivatedConv, "forward", absent)
    assert not has_activated_convolutions.__wrapped__()


def test_looking_for_that_call_leaves_the_global_generator():
    before = torch.get_rng_state()
    has_activated_convolutions.__wrapped__()
    assert torch.equal(torch.get_rng_state(), before)

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boxwise.detectors.blocks import ConvNormSilu, FocusConv, Pointwise

CONVOLUTIONS = {
    "pointwise": lambda: Pointwise(6, 8, bias=False),
    "dense": lambda: nn.Conv2d(6, 8, 3, padding=1, bias=False),
    "strided": lambda: nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False),
    "depthwise": lambda: nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=6, bias=False),
    "focus": lambda: FocusConv(8),
}


def stacked(images: Tensor) -> Tensor:
    """Every 2 × 2 pixels as 12 channels of one, as the paper's Focus has them."""
    return torch.cat([images[..., row::2, column::2] for column in (0, 1) for row in (0, 1)], dim=1)


def learned(block: nn.Module, layers: tuple[nn.Module, ...], images: Tensor, seen_as: Tensor) -> list[Tensor]:
    """What `layers` say of `images`, and the gradients that a weighted sum of it gives to the images and the block's parameters."""
    images = images.clone().requires_grad_()
    out = images
    for layer in layers:
        out = layer(out)
    (out * seen_as[: len(out.flatten())].view_as(out)).sum().backward()
    assert images.grad is not None
    return [out.detach(), images.grad, *(parameter.grad for parameter in block.parameters())]


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_in_a_training_a_block_does_what_its_layers_do_one_after_another(name: str) -> None:
    torch.manual_seed(0)
    block = ConvNormSilu(CONVOLUTIONS[name]())
    nn.init.normal_(block.bn.weight)
    apart = deepcopy(block)
    images = torch.randn(4, 3 if name == "focus" else 6, 12, 10).contiguous(memory_format=torch.channels_last)
    weights = torch.randn(images.numel() * 4)
    joined = learned(block, (block,), images, weights)
    single = learned(apart, tuple(apart.children()), images, weights)
    for mine, theirs in zip(joined, single, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(block.bn.running_mean, apart.bn.running_mean)
    torch.testing.assert_close(block.bn.running_var, apart.bn.running_var)


def test_a_focus_convolution_sees_blocks_of_two_by_two_pixels_as_one() -> None:
    torch.manual_seed(0)
    conv, images = FocusConv(5), torch.rand(2, 3, 8, 12) * 255
    expected = F.conv2d(stacked(images), conv.weight, padding=1)
    torch.testing.assert_close(conv(images), expected, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(conv.plain()(images), expected, rtol=1e-4, atol=1e-3)


def test_the_gradient_of_a_block_is_there_once() -> None:
    """What it computes with is then gone: asked again it must not answer with something else."""
    block = ConvNormSilu(Pointwise(2, 2, bias=False))
    out = block(torch.randn(1, 2, 3, 3)).sum()
    out.backward()
    with pytest.raises(RuntimeError):
        out.backward()

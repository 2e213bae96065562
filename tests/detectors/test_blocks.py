import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boxwise.detectors.blocks import FocusConv


def stacked(images: Tensor) -> Tensor:
    """Every 2 × 2 pixels as 12 channels of one, as the paper's Focus has them."""
    return torch.cat([images[..., row::2, column::2] for column in (0, 1) for row in (0, 1)], dim=1)


def test_a_focus_convolution_sees_blocks_of_two_by_two_pixels_as_one() -> None:
    torch.manual_seed(0)
    conv, images = FocusConv(5), torch.rand(2, 3, 8, 12) * 255
    expected = F.conv2d(stacked(images), conv.weight, padding=1)
    torch.testing.assert_close(conv(images), expected, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(conv.plain()(images), expected, rtol=1e-4, atol=1e-3)


def test_it_learns_what_the_convolution_of_stacked_pixels_learns() -> None:
    torch.manual_seed(0)
    conv, images, seen_as = FocusConv(5), torch.rand(2, 3, 8, 12) * 255, torch.randn(2, 5, 4, 6)
    weight = nn.Parameter(conv.weight.detach().clone())
    (F.conv2d(stacked(images), weight, padding=1) * seen_as).sum().backward()
    (conv(images) * seen_as).sum().backward()
    torch.testing.assert_close(conv.weight.grad, weight.grad, rtol=1e-4, atol=1e-2)


def test_its_plain_form_draws_nothing_at_random() -> None:
    conv, before = FocusConv(5), torch.get_rng_state()
    conv.plain()
    assert torch.equal(before, torch.get_rng_state())

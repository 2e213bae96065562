"""torchvision's own models with random weights, drawn no longer than they need to be."""

from types import SimpleNamespace
from unittest.mock import patch

from torch import nn
from torchvision.models import detection
from torchvision.models.detection import ssd
from torchvision.models.vgg import cfgs, make_layers


def ssd300(class_count: int) -> nn.Module:
    """torchvision's SSD300 in eval mode. Of its VGG16 the classifier, a hundred million weights that SSD drops, is not drawn."""
    with patch.object(ssd, "vgg16", _vgg16):
        model: nn.Module = detection.ssd300_vgg16(weights=None, weights_backbone=None, num_classes=class_count)
    return model.eval()


def _vgg16(**_: object) -> SimpleNamespace:
    """What SSD takes of torchvision's VGG16, begun as VGG begins."""
    features = make_layers(cfgs["D"])
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return SimpleNamespace(features=features)

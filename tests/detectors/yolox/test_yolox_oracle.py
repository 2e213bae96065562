"""YOLOX against an independent implementation, pixeltable-yolox 0.4.3 (Apache-2.0): architecture, assignment, losses, gradients.

For development: BOXWISE_YOLOX_ORACLE names the Python of an environment that has it (and opencv, loguru, psutil, tabulate, thop).
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from made_targets import made
from torch import Tensor, nn

from boxwise.detectors.targets import Target
from boxwise.detectors.yolox import loss
from boxwise.detectors.yolox.model import Predictions, Yolox, yolox_m, yolox_nano, yolox_s, yolox_tiny

CLASSES, SIDE = 5, 160
NETWORKS = {"yolox_nano": yolox_nano, "yolox_tiny": yolox_tiny, "yolox_s": yolox_s, "yolox_m": yolox_m}
ORACLE = os.environ.get("BOXWISE_YOLOX_ORACLE")

pytestmark = pytest.mark.skipif(ORACLE is None, reason="BOXWISE_YOLOX_ORACLE names no Python that has pixeltable-yolox")


def random_network(build: Callable[[int], Yolox]) -> Yolox:
    """With statistics that are not the identity, and predictions that differ enough to be told apart."""
    torch.manual_seed(1)
    network = build(CLASSES)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    for layer in (*network.head.cls_preds, *network.head.obj_preds):
        nn.init.normal_(layer.weight, std=0.5)
        nn.init.normal_(layer.bias)
    for layer in network.head.reg_preds:
        nn.init.constant_(layer.bias[2:], 1)  # boxes of some three cells across overlap an object in several places
    return network


def random_targets(counts: list[int]) -> list[Target]:
    generator = torch.Generator().manual_seed(2)
    targets = []
    for count in counts:
        corner = torch.rand(count, 2, generator=generator) * SIDE * 0.7
        size = 3 + torch.rand(count, 2, generator=generator) * SIDE * 0.4
        targets.append(made(torch.cat([corner, corner + size], 1), torch.randint(1, CLASSES + 1, (count,), generator=generator)))
    return targets


def as_rows(targets: list[Target]) -> Tensor:
    """(class, cx, cy, w, h) of each object, padded with zeros to a common number."""
    rows = torch.zeros(len(targets), max(len(t.classes) for t in targets), 5)
    for row, target in zip(rows, targets, strict=True):
        count = len(target.classes)
        row[:count, 0] = target.classes - 1
        row[:count, 1:3] = (target.xyxy[:, :2] + target.xyxy[:, 2:]) / 2
        row[:count, 3:] = target.xyxy[:, 2:] - target.xyxy[:, :2]
    return rows


@pytest.fixture(scope="module", params=NETWORKS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Both sides' network, images, targets, and what the oracle says."""
    network, targets = random_network(NETWORKS[request.param]), random_targets([4, 0, 9, 1])
    images = torch.rand(len(targets), 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3)) * 255
    folder = tmp_path_factory.mktemp(request.param)
    asked = {"name": request.param, "class_count": CLASSES, "state": network.state_dict(), "images": images, "labels": as_rows(targets)}
    torch.save(asked, folder / "case.pt")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    script = Path(__file__).with_name("yolox_oracle.py")
    subprocess.run([str(ORACLE), str(script), str(folder / "case.pt"), str(folder / "answer.pt")], check=True, env=environment)
    return {"network": network, "targets": targets, "images": images, "theirs": torch.load(folder / "answer.pt", weights_only=True)}


def said(case: dict[str, Any]) -> Predictions:
    network = case["network"]
    predictions: Predictions = network.head(network.features(case["images"]).levels)
    return predictions


def test_both_say_the_same_of_an_image(case: dict[str, Any]) -> None:
    case["network"].eval()
    with torch.no_grad():
        mine = said(case)
    flat = torch.cat([mine.boxes, mine.objectness.sigmoid()[..., None], mine.classes.sigmoid()], dim=2)
    torch.testing.assert_close(flat, case["theirs"]["said"], rtol=1e-3, atol=1e-4)


def test_both_learn_the_same_from_a_batch(case: dict[str, Any]) -> None:
    """Which cells stand for what, every term of the loss, every gradient and what the norms have seen."""
    network, targets, theirs = case["network"].train(), case["targets"], case["theirs"]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    mine = said(case)
    matches = loss.match(mine, targets)
    objects = torch.cat([target.xyxy for target in targets])
    first = torch.tensor([0, *(len(target.classes) for target in targets)]).cumsum(0)
    assert int(matches.counts.sum()) > 1.5 * len(objects)  # or the number of cells of an object would go untested
    assert [int(count) for count in matches.counts if count] == [len(each["cells"]) for each in theirs["matches"]]
    for each in theirs["matches"]:
        own = matches.images == each["image"]
        assert torch.equal(matches.cells[own], each["cells"])
        torch.testing.assert_close(matches.xyxy[own], objects[each["objects"] + first[each["image"]]])
        torch.testing.assert_close(matches.overlaps[own], each["overlaps"], rtol=1e-3, atol=1e-5)
    terms = {name: values.mean() for name, values in loss.training_losses(mine, targets).items()}
    names = {"box": "iou_loss", "offset": "l1_loss", "objectness": "conf_loss", "class": "cls_loss"}
    for name, term in terms.items():
        assert term.item() == pytest.approx(theirs["losses"][names[name]], rel=1e-4), name
    torch.stack(list(terms.values())).sum().backward()
    for name, parameter in network.named_parameters():
        wanted = theirs["gradients"][name]
        assert (parameter.grad - wanted).norm() <= 2e-3 * wanted.norm() + 1e-5, name
    for name, value in theirs["statistics"].items():
        torch.testing.assert_close(network.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    network.load_state_dict(before)

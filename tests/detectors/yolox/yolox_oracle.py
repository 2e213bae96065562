"""What an independent YOLOX says of a case: run by a Python that has `pixeltable-yolox`, with the case's file and the answer's.

It takes the candidates of the paper, which later releases narrowed (to 1.5 strides around the centre, inside the object or not).
"""

import sys
from pathlib import Path

import torch
from torch import Tensor
from yolox.config import YoloxConfig
from yolox.models import YoloxHead


def papers_candidates(self: YoloxHead, gt: Tensor, strides: Tensor, x_shifts: Tensor, y_shifts: Tensor) -> tuple[Tensor, Tensor]:
    """From objects (cx, cy, w, h): cells inside any or near any, and which of these are both inside and near each."""
    x, y = (x_shifts[0] + 0.5) * strides[0], (y_shifts[0] + 0.5) * strides[0]
    across, down = (x - gt[:, :1]).abs(), (y - gt[:, 1:2]).abs()
    inside = (across < gt[:, 2:3] / 2) & (down < gt[:, 3:4] / 2)
    near = (across < 2.5 * strides[0]) & (down < 2.5 * strides[0])
    chosen = (inside | near).any(0)
    return chosen, (inside & near)[:, chosen]


def answer(case: dict) -> dict:
    config = YoloxConfig.get_named_config(case["name"])
    config.num_classes = case["class_count"]
    model = config.get_model()
    model.load_state_dict(case["state"], strict=True)
    model.head.decode_in_inference, model.head.use_l1 = False, True
    with torch.no_grad():
        said = model.eval()(case["images"])
    YoloxHead.get_geometry_constraint = papers_candidates
    matches, assign = [], YoloxHead.get_assignments

    def recorded(self: YoloxHead, *args):
        result = assign(self, *args)
        _, cells, overlaps, objects, _ = result
        matches.append({"image": args[0], "cells": torch.where(cells)[0], "objects": objects, "overlaps": overlaps})
        return result

    YoloxHead.get_assignments = recorded
    losses = model.train()(case["images"], case["labels"])
    losses["total_loss"].backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return {
        "said": said,
        "matches": matches,
        "losses": {name: float(torch.as_tensor(value).detach()) for name, value in losses.items()},
        "gradients": gradients,
        "statistics": dict(model.named_buffers()),
    }


torch.manual_seed(0)
torch.set_num_threads(1)
torch.save(answer(torch.load(Path(sys.argv[1]), weights_only=True)), Path(sys.argv[2]))

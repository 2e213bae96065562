"""A detector that breaks its promises is one message, before what it found is kept or measured."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from boxwise.boxes import Boxes
from boxwise.detectors.base import FitReport, ImageBatch, View
from boxwise.detectors.checked import detections_of, embeddings_of, reported
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord

RECORD = ImageRecord("a.png", "a.png", 60, 40)
VIEW = View(ImageBatch((RECORD,), torch.zeros((1, 3, 40, 60), dtype=torch.uint8), torch.tensor([[40, 60]])), None)


def found(xyxy=(1, 1, 20, 20), *, label=0, score=0.8, columns=3):
    probabilities = np.full((1, columns), 0.1, np.float32)
    return Boxes(np.array([xyxy], np.float32), np.array([label]), np.array([score], np.float32), probabilities)


def detector(*boxes):
    return SimpleNamespace(classes=("cat", "dog"), detections=lambda view: list(boxes))


@pytest.mark.parametrize("boxes", [found(), found(columns=2), found((0, 0, 60.4, 40)), Boxes.empty(), Boxes.empty(2)])
def test_what_keeps_the_promises_passes_as_it_is(boxes):
    assert detections_of(detector(boxes), VIEW)[0] is boxes


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ((), "detections: expected one Boxes for each of 1 images, found 0"),
        ((np.zeros((1, 4)),), "detections of 'a.png': expected Boxes, found a ndarray"),
        ((found((1, 1, np.nan, 20)),), "expected finite corners, scores and probabilities"),
        ((found(score=np.nan),), "expected finite corners, scores and probabilities"),
        ((found(label=2),), "expected labels from 0 to 1, found 2 to 2"),
        ((found((5, 5, 900, 20)),), "expected boxes inside the image of 60 × 40 pixels, found [5.0, 5.0, 900.0, 20.0]"),
        ((found(columns=5),), "expected probabilities of 2 classes, with or without background last, found the shape (1, 5)"),
        ((Boxes(np.array([[1, 1, 2, 2]]), np.array([0])),), "expected scores and probabilities, found none"),
    ],
)
def test_a_broken_promise_is_named(boxes, message):
    with pytest.raises(BoxwiseError, match=rf"^detector SimpleNamespace: .*{re.escape(message)}.*DetectorContract"):
        detections_of(detector(*boxes), VIEW)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.full((1, 4), np.nan, np.float32), "finite numbers, found NaN or infinity in 1 of 1 rows"),
        (np.zeros((2, 4), np.float32), "floating numbers [1, D], a row an image, found float32 [2, 4]"),
    ],
)
def test_embeddings_that_are_no_finite_rows_are_named(rows, message):
    with pytest.raises(BoxwiseError, match=rf"^detector SimpleNamespace: embeddings: expected {re.escape(message)}"):
        embeddings_of(SimpleNamespace(embeddings=lambda view: rows), VIEW)


def test_a_training_without_a_report_is_named():
    report = FitReport(steps=1, stopped_early=False, best_ap=None, images_per_second=1.0)
    assert reported(detector(), report) is report
    with pytest.raises(BoxwiseError, match="detector SimpleNamespace: fit: expected a FitReport, found a NoneType"):
        reported(detector(), None)

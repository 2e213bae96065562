"""Boxes drawn into pictures: a prediction with class names and scores, or labels by who gave them.

Knows nothing of reports or detectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from boxwise.boxes import Boxes
from boxwise.data.addresses import Address
from boxwise.data.images import read_image, write_image
from boxwise.report.charts import BY_MODEL, BY_PERSON
from boxwise.results.colors import class_colors


def draw_boxes(uri: Address, boxes: Boxes, classes: Sequence[str], target: Path) -> None:
    """Write the image at `uri` with `boxes` (its pixels) to `target`; line width and letters grow with the image.

    Raises ImageError when the image cannot be read.
    """
    image = Image.fromarray(read_image(uri))
    pen, colors = ImageDraw.Draw(image), class_colors(len(classes))
    width = max(1, round(max(image.size) / 400))
    font = ImageFont.load_default(size=max(10, max(image.size) / 50))
    scores = np.full(len(boxes), np.nan) if boxes.scores is None else boxes.scores
    for xyxy, label, score in zip(boxes.xyxy.tolist(), boxes.labels.tolist(), scores.tolist(), strict=True):
        pen.rectangle(xyxy, outline=colors[label], width=width)
        name = classes[label] if np.isnan(score) else f"{classes[label]} {score:.2f}"
        corner = (xyxy[0], max(0.0, xyxy[1] - font.getbbox(name)[3]))
        pen.rectangle(pen.textbbox(corner, name, font=font), fill=colors[label])
        pen.text(corner, name, fill="white", font=font)
    write_image(np.asarray(image), target)


def draw_sources(uri: Address, boxes: Boxes, by_model: NDArray[np.bool_], *, widest: int = 512) -> Image.Image:
    """The image at most `widest` pixels a side with `boxes` (its pixels): the model's green and dashed, a person's amber and whole.

    by_model: bool [N]. Raises ImageError when the image cannot be read.
    """
    image = Image.fromarray(read_image(uri))
    scale = min(1.0, widest / max(image.size))
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BOX)
    pen, width = ImageDraw.Draw(image), max(1, round(max(image.size) / 250))
    for xyxy, automatic in zip((boxes.xyxy * scale).tolist(), by_model.tolist(), strict=True):
        if automatic:
            _dashed(pen, xyxy, BY_MODEL, width)
        else:
            pen.rectangle(xyxy, outline=BY_PERSON, width=width)
    return image


def _dashed(pen: ImageDraw.ImageDraw, xyxy: Sequence[float], color: str, width: int) -> None:
    x1, y1, x2, y2 = xyxy
    dash = 4 * width
    for x in np.arange(x1, x2, 2 * dash):
        for y in (y1, y2):
            pen.line((x, y, min(x + dash, x2), y), fill=color, width=width)
    for y in np.arange(y1, y2, 2 * dash):
        for x in (x1, x2):
            pen.line((x, y, x, min(y + dash, y2)), fill=color, width=width)

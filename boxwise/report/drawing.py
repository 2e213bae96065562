"""A prediction as a picture: the image at its own size with boxes, class names and scores drawn in.

Knows nothing of reports or detectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from boxwise.boxes import Boxes
from boxwise.images import read_image, write_image
from boxwise.report.charts import class_colors


def draw_boxes(path: Path, boxes: Boxes, classes: Sequence[str], target: Path) -> None:
    """Write the image at `path` with `boxes` (its pixels) to `target`; line width and letters grow with the image.

    Raises ImageError when the image cannot be read.
    """
    image = Image.fromarray(read_image(path))
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

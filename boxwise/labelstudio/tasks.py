"""Study to Label Studio and back: labelling config, tasks with predictions, annotations as boxes. Pure conversion.

Label Studio's coordinates are percentages of the upright image; ours are pixels. Knows nothing of servers or stores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
from defusedxml.ElementTree import fromstring

from boxwise.annotation.verdicts import Shown, shown_to_annotator
from boxwise.boxes import Boxes
from boxwise.data.formats.checking import assemble
from boxwise.data.formats.listing import Checked
from boxwise.data.formats.reading import Reading
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Proposals, QueryItem
from boxwise.results.colors import class_colors

CONTROL, IMAGE = "label", "image"
_KIND = "rectanglelabels"
_IGNORED = ("choices", "textarea", "number", "rating", "taxonomy", "datetime", "relation", "pairwise", "ranker")


def labelling_config(classes: Sequence[str]) -> str:
    """The XML of Label Studio's interface: an image that zooms, and upright rectangles of the classes."""
    view = Element("View")
    SubElement(view, "Image", name=IMAGE, value=f"${IMAGE}", zoom="true", zoomControl="true", rotateControl="false")
    control = SubElement(view, "RectangleLabels", name=CONTROL, toName=IMAGE, canRotate="false")
    for name, color in zip(classes, class_colors(len(classes)), strict=True):
        SubElement(control, "Label", value=name, background=color)
    return tostring(view, encoding="unicode")


def configured_classes(config: str) -> tuple[str, ...]:
    """The classes that a labelling config offers under our control; () when it has none or is not readable."""
    try:
        labels = fromstring(config).findall(f".//RectangleLabels[@name='{CONTROL}']/Label")
    except Exception:  # a person may have edited it
        return ()
    return tuple(label.get("value", "") for label in labels)


def model_version(round_index: int) -> str:
    return f"round {round_index:02d}"


def score_of(rank: int, asked: int) -> float:
    """The prediction score of the `rank`-th of `asked` images: Label Studio serves the lowest first. Above 0, below 1."""
    return (rank + 1) / (asked + 1)


def task_of(
    item: QueryItem,
    proposals: Proposals | None,
    record: ImageRecord,
    *,
    classes: Sequence[str],
    url: str,
    round_index: int,
    rank: int,
    asked: int,
) -> dict[str, Any]:
    """One image of a query as a task with one prediction, which may have no box: its score gives the order.

    Region ids are the ids of the boxes; `meta` says why the image was asked for and which boxes the question is about.
    """
    regions = regions_of(proposals, record, classes)
    prediction = {"model_version": model_version(round_index), "score": score_of(rank, asked), "result": regions}
    return {
        "data": {IMAGE: url, "image_id": item.image_id, "round": round_index},
        "meta": {
            "rank": rank,
            "utility": item.utility,
            "terms": dict(item.terms),
            "split": item.split.value,
            "asked": None if item.box_ids is None else list(item.box_ids),
            "box_ids": [region["id"] for region in regions],
        },
        "predictions": [prediction],
    }


def regions_of(
    proposals: Proposals | None, record: ImageRecord, classes: Sequence[str], *, controls: tuple[str, str] = (CONTROL, IMAGE)
) -> list[dict[str, Any]]:
    """The boxes that `proposals` put before a person, as regions of a prediction. controls: see `controls_of`."""
    before = shown_to_annotator(proposals)
    names = {"from_name": controls[0], "to_name": controls[1]}
    return [_region(before, row, record, classes) | names for row in range(len(before.boxes))]


def controls_of(config: str) -> tuple[str, str]:
    """The names of the rectangles' control and of its image in a labelling config; ours where it is empty.

    Raises BoxwiseError for a config without rectangles, or one that cannot be read.
    """
    if not config:
        return CONTROL, IMAGE
    try:
        control = next(iter(fromstring(config).iter("RectangleLabels")), None)
    except Exception as error:  # a person has written it
        raise BoxwiseError(f"the labelling interface cannot be read ({error}). Expected XML with <RectangleLabels>.") from None
    if control is None:
        raise BoxwiseError("the labelling interface has no <RectangleLabels>. Expected one, with the classes of the study.")
    return control.get("name", CONTROL), control.get("toName", IMAGE)


def key_of(task: Mapping[str, Any]) -> tuple[str, int] | None:
    """(image id, round) of one of our tasks; None for a task that another program put into the project."""
    data = task.get("data")
    image_id, round_index = (data.get("image_id"), data.get("round")) if isinstance(data, dict) else (None, None)
    return (image_id, round_index) if isinstance(image_id, str) and type(round_index) is int else None


def boxes_of(result: Sequence[Mapping[str, Any]], record: ImageRecord, classes: Sequence[str], *, subject: str) -> Boxes:
    """The boxes of an annotation's `result` in pixels of `record`, with the regions' `ids`.

    What was answered in controls that people added beside ours is passed over. Raises BoxwiseError, naming `subject`, for a rotated box,
    another shape, an image of another size, a box that is not in the image, and an unknown class.
    """
    regions = [region for region in result if region.get("type") not in _IGNORED]
    faults = [f"{subject}: region {row}: {fault}" for row, region in enumerate(regions, 1) if (fault := _fault(region, record))]
    if faults:
        raise BoxwiseError("\n".join(faults))
    size = np.array([record.width, record.height, record.width, record.height], np.float64)
    xyxy = np.array([_corners(region["value"]) for region in regions], np.float64).reshape(-1, 4) * size / 100
    names = [region["value"][_KIND][0] for region in regions]
    reading = Reading(Path(subject), names, xyxy, {"ids": [str(region.get("id", "")) for region in regions]})
    checked = assemble(Checked([record]), {record.image_id: reading}, classes=tuple(classes))
    refused = [finding.message for finding in checked.findings if finding.quarantined]
    if refused:
        raise BoxwiseError("\n".join(refused))
    return checked.labels[record.image_id]


def _region(before: Shown, row: int, record: ImageRecord, classes: Sequence[str]) -> dict[str, Any]:
    boxes = before.boxes
    assert boxes.ids is not None and boxes.scores is not None
    x1, y1, x2, y2 = boxes.xyxy[row].astype(np.float64).tolist()
    across, down = 100 / record.width, 100 / record.height
    value = {"x": x1 * across, "y": y1 * down, "width": (x2 - x1) * across, "height": (y2 - y1) * down, "rotation": 0}
    state = "settled" if before.settled[row] else "certain" if before.accepted[row] else "uncertain"
    region = {
        "id": str(boxes.ids[row]),
        "from_name": CONTROL,
        "to_name": IMAGE,
        "type": _KIND,
        "original_width": record.width,
        "original_height": record.height,
        "image_rotation": 0,
        "value": {**value, _KIND: [classes[boxes.labels[row]]]},
        "meta": {"text": [state]},
    }
    score = float(boxes.scores[row])
    return region if np.isnan(score) else {**region, "score": score}


def _fault(region: Mapping[str, Any], record: ImageRecord) -> str:
    """What is wrong with a region, or ''."""
    value = region.get("value")
    if region.get("type") != _KIND or not isinstance(value, dict):
        return f"is a {region.get('type')!r}. Expected rectangles with a class ({_KIND!r})."
    if not all(isinstance(value.get(key), int | float) for key in ("x", "y", "width", "height")):
        return f"has the value {value}. Expected x, y, width and height in percent."
    if value.get("rotation") or region.get("image_rotation"):
        return f"is rotated by {value.get('rotation') or 0} degrees on an image turned by {region.get('image_rotation') or 0}. Expected 0."
    names = value.get(_KIND)
    if not isinstance(names, list) or len(names) != 1:
        return f"has the classes {names}. Expected one."
    size = region.get("original_width", record.width), region.get("original_height", record.height)
    if size != (record.width, record.height):
        return f"was drawn on {size[0]} x {size[1]} pixels. Expected {record.width} x {record.height} as in {record.image_id}."
    return ""


def _corners(value: Mapping[str, float]) -> tuple[float, float, float, float]:
    return value["x"], value["y"], value["x"] + value["width"], value["y"] + value["height"]

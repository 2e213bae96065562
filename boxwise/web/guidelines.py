"""The guidelines of a study: a Markdown file in its folder, and pictures of each class out of what people labelled.

Returns text, HTML without any markup of the writer's own, and plain JSON values. Knows nothing of HTTP.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from markdown_it import MarkdownIt

from boxwise.errors import BoxwiseError
from boxwise.files import locked, replacing
from boxwise.records import Annotation, ImageRecord, Source
from boxwise.results.colors import class_colors
from boxwise.study import Study
from boxwise.web.answers import OverError

FILE = "guidelines.md"
MOST_CHARACTERS = 50_000
_EXAMPLES, _LOOKED_AT = 6, 300  # pictures of a class, and the images they are looked for in
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")  # a picture would be fetched from elsewhere
_LOWEST_HEADING = 6


def read_guidelines(study: Study) -> str:
    """The text, empty where there is none. Raises BoxwiseError for a file that is no text."""
    path = study.folder / FILE
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise BoxwiseError(f"{path}: expected a text file in UTF-8 ({error}).") from None


def write_guidelines(study: Study, text: str, *, instead_of: str, who: str) -> None:
    """Put another text in the file's place, and into the study's history. instead_of: `version` of the text that was edited.

    Raises OverError where somebody has changed it since.
    """
    with locked(study.folder / f".{FILE}.lock", wait=True):
        if version(read_guidelines(study)) != instead_of:
            raise OverError("guidelines_changed")
        with replacing(study.folder / FILE) as aside:
            aside.write_text(text, encoding="utf-8", newline="\n")
    study.note("guidelines changed", {"text": text}, who=who)


def version(text: str) -> str:
    """Names a text; 16 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def rendered(text: str) -> str:
    """The text as HTML: tags in it are shown as they are written, links lead to no script, headings come below the page's own."""
    tokens = _MARKDOWN.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + 1, _LOWEST_HEADING)}"
    return str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


def examples(study: Study) -> list[dict[str, Any]]:
    """Of each class, boxes that people drew or confirmed on images of train, the latest first, one an image, the largest there.

    Images that wait for an answer now are left out: whoever is to label them should not see what they were labelled as.
    """
    waiting = study.waiting(study.position[0])
    found: list[list[_Shot]] = [[] for _ in study.classes]
    for annotation in study.labelled_lately(_LOOKED_AT):
        for label, shot in _largest(annotation) if annotation.image_id not in waiting else ():
            if len(found[label]) < _EXAMPLES:
                found[label].append(shot)
    records = {record.image_id: record for record in study.records({shot.image_id for shots in found for shot in shots})}
    named = zip(study.classes, class_colors(len(study.classes)), found, strict=True)
    return [
        {"name": name, "color": color, "shots": [_shown(shot, records[shot.image_id]) for shot in shots]} for name, color, shots in named
    ]


class _Shot(NamedTuple):
    """A box on an image, in pixels."""

    image_id: str
    xyxy: list[float]


def _largest(annotation: Annotation) -> list[tuple[int, _Shot]]:
    """(label, the largest box of it) of each class that a person answered for on an image."""
    x1, y1, x2, y2 = annotation.boxes.xyxy.T
    by_people = [row for row, source in enumerate(annotation.sources) if source is Source.HUMAN]
    largest_last = sorted(by_people, key=((x2 - x1) * (y2 - y1)).__getitem__)
    boxes = {int(annotation.boxes.labels[row]): annotation.boxes.xyxy[row].tolist() for row in largest_last}
    return [(label, _Shot(annotation.image_id, xyxy)) for label, xyxy in boxes.items()]


def _shown(shot: _Shot, record: ImageRecord) -> dict[str, Any]:
    return {"image_id": shot.image_id, "width": record.width, "height": record.height, "xyxy": shot.xyxy}

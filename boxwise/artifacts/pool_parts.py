"""Parts of a pool pass as files: what was learned of some images in a row, one Parquet file a part, one row an image.

A file's name says which part it is, what it was made of, and what its bytes are: `part_00003-MADE_OF-BYTES.parquet`. So a part of another
pass is never taken for one of this, and a damaged file is known as such. Knows nothing of detectors, scorers or stores.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from boxwise.artifacts.detections_file import SCHEMA, detections_in, detections_table
from boxwise.errors import BoxwiseError
from boxwise.files import replacing
from boxwise.records import ImageRecord, Inspection

_TERM, _EMBEDDING, _BOX_EMBEDDINGS = "term:", "embedding", "box_embeddings"
_USUAL_PARTS = 1024  # about so many parts, unless they came out too small or too large
_SMALLEST, _LARGEST = 128, 4096  # images of a part: files are to be few, and what a kill costs, too
_UNREADABLE = b"boxwise unreadable"  # keys of the schema's metadata. JSON: image_id → message
_DIMENSIONS = b"boxwise box dimensions"  # E of box embeddings, 0 where there are none
_SECONDS = b"boxwise seconds"


def part_size(images: int, batch: int) -> int:
    """Images of each part but the last, which may have fewer: whole batches, some 1,024 parts, but 128 to 4,096 images."""
    wanted = min(max(images // _USUAL_PARTS, _SMALLEST), _LARGEST)
    return -(-wanted // batch) * batch


@dataclass(frozen=True)
class PoolPart:
    """What was learned of images in a row, in their order. unreadable: image_id → message of those that could not be read. seconds: that
    it took."""

    inspections: tuple[Inspection, ...]
    unreadable: Mapping[str, str]
    seconds: float = 0.0


@dataclass(frozen=True)
class PartFile:
    """Where part `number`, made of what the digest `made_of` names, is or will be in `folder`."""

    folder: Path
    number: int
    made_of: str

    def write(self, part: PoolPart) -> Path:
        """The part's file, whole and durable when this returns."""
        content = _bytes(part)
        path = self.folder / f"{self._prefix}{digest(content)}.parquet"
        with replacing(path) as aside:
            aside.write_bytes(content)
        return path

    def found(self) -> list[Path]:
        """The files that claim to be this part; more than one only where one of them was damaged."""
        return sorted(self.folder.glob(f"{self._prefix}*.parquet"))

    def read(self) -> PoolPart | None:
        """The part, or None where no undamaged file of it is there."""
        for path in self.found():
            content = path.read_bytes()
            if path.stem.removeprefix(self._prefix) == digest(content):
                return _part(content)
        return None

    def is_whole(self) -> bool:
        """Whether an undamaged file of this part is there; damaged ones are removed."""
        whole = False
        for path in self.found():
            if path.stem.removeprefix(self._prefix) == digest(path.read_bytes()):
                whole = True
            else:
                path.unlink(missing_ok=True)
        return whole

    @property
    def _prefix(self) -> str:
        return f"part_{self.number:05d}-{self.made_of}-"


def digest(content: bytes) -> str:
    """16 hex digits that no other content is likely to have."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def write_images(path: Path, records: Sequence[ImageRecord]) -> None:
    """The images of a pass: id, address, width and height; what else a record says plays no part in it."""
    rows = [(record.image_id, record.uri, record.width, record.height) for record in records]
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    table = pa.table({name: pa.array(values, kind) for (name, kind), values in zip(_IMAGE, columns, strict=True)})
    with replacing(path) as aside:
        pq.write_table(table, aside, compression="zstd")


def read_images(path: Path) -> tuple[ImageRecord, ...]:
    """What `write_images` wrote. Raises BoxwiseError for a file that is something else."""
    try:
        columns = [pq.read_table(path)[name].to_pylist() for name, _ in _IMAGE]
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        raise BoxwiseError(f"{path}: expected the images of a pool pass, found something else ({error}).") from error
    return tuple(ImageRecord(image_id, address, width, height) for image_id, address, width, height in zip(*columns, strict=True))


_IMAGE = (("image_id", pa.string()), ("address", pa.string()), ("width", pa.int32()), ("height", pa.int32()))


def _bytes(part: PoolPart) -> bytes:
    buffer = BytesIO()
    pq.write_table(_table(part), buffer, compression="zstd", use_dictionary=False)
    return buffer.getvalue()


def _table(part: PoolPart) -> pa.Table:
    found = part.inspections
    table = detections_table((inspection.image_id, inspection.boxes) for inspection in found)
    for name in found[0].evidence if found else ():
        table = table.append_column(_TERM + name, pa.array([inspection.evidence[name] for inspection in found], pa.float64()))
    table = table.append_column(_EMBEDDING, _binary(inspection.embedding.astype(np.float32) for inspection in found))
    table = table.append_column(_BOX_EMBEDDINGS, _binary(inspection.box_embeddings for inspection in found))
    inside = [inspection.box_embeddings for inspection in found if inspection.box_embeddings is not None]
    about = {_UNREADABLE: json.dumps(dict(part.unreadable)), _DIMENSIONS: str(inside[0].shape[1] if inside else 0)}
    about[_SECONDS] = str(part.seconds)
    return table.replace_schema_metadata(about)


def _binary(arrays: Iterable[np.ndarray | None]) -> pa.Array:
    return pa.array([None if array is None else array.tobytes() for array in arrays], pa.binary())


def _part(content: bytes) -> PoolPart:
    table = pq.read_table(pa.BufferReader(content))
    about, names = table.schema.metadata, [name for name in table.column_names if name.startswith(_TERM)]
    terms = [table[name].to_pylist() for name in names]
    evidence = [dict(zip([name.removeprefix(_TERM) for name in names], row, strict=True)) for row in zip(*terms, strict=True)]
    embeddings = [np.frombuffer(values, np.float32) for values in table[_EMBEDDING].to_pylist()]
    inside = [_box_embeddings(values, int(about[_DIMENSIONS])) for values in table[_BOX_EMBEDDINGS].to_pylist()]
    rows = zip(detections_in(table.select(SCHEMA.names)), embeddings, evidence or [{}] * len(table), inside, strict=True)
    inspections = tuple(Inspection(*image, embedding, measured, within) for image, embedding, measured, within in rows)
    return PoolPart(inspections, json.loads(about[_UNREADABLE]), float(about.get(_SECONDS, 0)))


def _box_embeddings(values: bytes | None, dimensions: int) -> NDArray[np.float16] | None:
    return None if values is None else np.frombuffer(values, np.float16).reshape(-1, dimensions)

"""Resumable training state in one file: written aside, synced, then renamed, so that a kill leaves the old or the new.

Returns plain dicts of tensors and numbers. Knows nothing of what the state means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from boxwise.config import TrainConfig
from boxwise.detectors.network import Network
from boxwise.detectors.weights_file import loaded, write_torch
from boxwise.errors import StaleCheckpointError, StudyError
from boxwise.files import seal_is_broken, sealing
from boxwise.records import Sample

_NO_EFFECT = {"checkpoint_every", "cache_mb", "accumulate"}  # these may change between a kill and the resume


def identity(network: Network, train: Sequence[Sample], val: Sequence[Sample], config: TrainConfig, seed: int) -> dict[str, str]:
    """What makes a training the same training: its settings, seed, data and network, one short string each."""
    shapes = [(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()]
    return {
        "train": config.model_dump_json(exclude=_NO_EFFECT),
        "seed": str(seed),
        "training images and boxes": _digest(train),
        "validation images and boxes": _digest(val),
        "network": f"{type(network).__name__} imgsz {network.input.imgsz} {hashlib.sha256(repr(shapes).encode()).hexdigest()[:16]}",
    }


def write_checkpoint(path: Path, same: Mapping[str, str], state: Mapping[str, Any]) -> None:
    """Write `state` for the training identified by `same`; atomic and durable."""
    with sealing(path) as aside:
        write_torch({"identity": dict(same), "state": dict(state)}, aside)


def read_checkpoint(path: Path, same: Mapping[str, str]) -> dict[str, Any] | None:
    """The state in `path`, on the CPU; None if there is no such file.

    Raises StudyError when the file is not a checkpoint, StaleCheckpointError when it belongs to another training, naming what differs:
    silently starting over would throw away hours of work.
    """
    if not path.exists():
        return None
    try:
        content: Any = None if seal_is_broken(path) else loaded(path)
        found, state = content["identity"], content["state"]
    except (OSError, MemoryError) as error:  # the file may be sound
        raise StudyError(f"{path}: the training checkpoint cannot be read now ({error or type(error).__name__}).") from None
    except Exception:  # foreign bytes may raise anything
        message = f"{path}: not a readable training checkpoint: damaged, or another program's. Delete it to train from the start."
        raise StudyError(message) from None
    differing = [f"{key}: checkpoint has {found.get(key)!r}, expected {value!r}" for key, value in same.items() if found.get(key) != value]
    if differing:
        raise StaleCheckpointError(f"{path}: checkpoint of another training. Delete it to train from the start.\n" + "\n".join(differing))
    return dict(state)


def _digest(samples: Sequence[Sample]) -> str:
    sums = hashlib.sha256()
    for sample in samples:
        sums.update(f"{sample.image.image_id}\0{len(sample.boxes)}\0".encode())
        sums.update(sample.boxes.xyxy.tobytes())
        sums.update(sample.boxes.labels.tobytes())
        sums.update(_reservations(sample))
    return f"{len(samples)} images, {sums.hexdigest()[:16]}"


def _reservations(sample: Sample) -> bytes:
    """What a sample's labels must not teach, and how much they count; nothing for a complete image whose boxes all count fully."""
    crowd = sample.boxes.crowd if sample.boxes.crowd is not None and sample.boxes.crowd.any() else None
    columns = (("crowd", crowd), ("rejected", sample.rejected if len(sample.rejected) else None), ("weights", sample.weights))
    parts = [f"{name}\0{len(column)}\0".encode() + column.tobytes() for name, column in columns if column is not None]
    return b"".join(parts if sample.complete else [b"incomplete\0", *parts])

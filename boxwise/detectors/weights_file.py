"""The file that holds a trained detector: read with one message for what is wrong with it, and what is known of the weights noted in it.

Returns plain dicts of tensors and values. Knows nothing of networks.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from boxwise.errors import BoxwiseError
from boxwise.files import seal_is_broken, sealing


def read_weights(path: Path) -> dict[str, Any]:
    """What a detector's `save` wrote, on the CPU. Raises BoxwiseError for a file that is missing, no torch file, or another program's."""
    contents = read_torch(path, "the weights of a detector")
    if not is_detector(contents):
        raise BoxwiseError(f"{path}: expected weights saved by boxwise, found something else.")
    return dict(contents)


def is_detector(contents: Any) -> bool:
    """Whether a torch file holds a detector that boxwise saved."""
    return isinstance(contents, Mapping) and contents.get("boxwise") == "detector"


def read_torch(path: Path, expected: str) -> Any:
    """What torch.save wrote, tensors on the CPU. Raises BoxwiseError that says what was `expected`, also of one whose seal is broken."""
    if not path.is_file():
        raise BoxwiseError(f"{path}: no such file. Expected {expected}.")
    if seal_is_broken(path):
        raise BoxwiseError(f"{path}: expected {expected}, found a damaged file: its bytes are not those that were written.")
    try:
        return loaded(path)
    except OSError as error:
        raise BoxwiseError(f"{path}: expected {expected}, found a file that cannot be read ({error.strerror or error}).") from None
    except Exception:  # foreign bytes are read as instructions, and may raise anything
        raise BoxwiseError(f"{path}: expected {expected}, found a file torch cannot read.") from None


def loaded(path: Path) -> Any:
    """torch.load of tensors and plain values alone. Raises anything; neither that nor torch's warnings are for a user, who is advised to
    let the file run code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


def write_torch(contents: Any, path: Path) -> None:
    """torch.save to `path`. Raises OSError where the disk refuses, and KeyboardInterrupt; torch's writer of zip files hides both."""
    with path.open("wb") as file:
        try:
            torch.save(contents, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError | KeyboardInterrupt):
                raise error.__context__ from None
            raise


def tensors_in(contents: Any, path: Path, expected: str) -> dict[str, Tensor]:
    """The state dict that a torch file is, or holds under "model". Raises BoxwiseError that says what was `expected`."""
    state = contents["model"] if isinstance(contents, Mapping) and isinstance(contents.get("model"), Mapping) else contents
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise BoxwiseError(f"{path}: expected {expected}, found a {type(state).__name__} that is no state dict of tensors.")
    return dict(state)


def weights_digest(path: Path) -> str:
    """Hexadecimal, of what a detector's file holds beside the facts noted in it, the same on whichever device its tensors were; of a file
    that torch cannot read, of its bytes."""
    try:
        contents = read_torch(path, "the weights of a detector")
    except BoxwiseError:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for part in _parts({**contents, "facts": None} if is_detector(contents) else contents):
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    """The bytes that tell nested tensors and plain values from others."""
    if isinstance(value, Tensor):
        yield f"{value.dtype} {tuple(value.shape)}".encode()
        yield value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(value, Mapping | list | tuple):
        yield f"{len(value)} in".encode()
        for part in value.items() if isinstance(value, Mapping) else value:
            yield from _parts(part)
    else:
        yield f"{value!r};".encode()


def note(path: Path, facts: Mapping[str, Any]) -> None:
    """Add to what is known of the weights at `path`, such as the threshold found on val; they travel with the file."""
    contents = read_weights(path)
    with sealing(path) as aside:
        write_torch({**contents, "facts": {**noted(contents), **facts}}, aside)


def noted(contents: Mapping[str, Any]) -> dict[str, Any]:
    """What `note` has added; empty for weights that were never evaluated."""
    return dict(contents.get("facts", {}))

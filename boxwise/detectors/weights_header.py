"""What a file of weights holds, read without torch and without its tensors: names and shapes, and whose detector it is.

Returns a Header in some milliseconds, so that a wrong file is noticed before anyone is asked for labels. Runs no code of the file's: every
object in it that is neither a container, a number, a text nor a tensor becomes an empty stand-in.
"""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from boxwise.errors import BoxwiseError

_BEFORE_ZIP = 0x1950A86A20F9469CFC6C  # how files of torch.save began before torch 1.6
_ITEM_BYTES = {"DoubleStorage": 8, "LongStorage": 8, "FloatStorage": 4, "IntStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2}


class _NoWeightsError(Exception):
    """What is wrong with a file, in words."""


@dataclass(frozen=True)
class Header:
    """shapes: tensor name → shape. detector: the name of the detector that boxwise saved it of; None for any other file.
    model_type: what the config.json of a folder calls its model; None of a file. architecture: all that it says of it."""

    shapes: Mapping[str, tuple[int, ...]]
    detector: str | None = None
    model_type: str | None = None
    architecture: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Tensor:
    shape: tuple[int, ...]


class _StandIn:
    """In place of an object of a class that is not looked into."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def read_header(path: Path, expected: str) -> Header:
    """The names and shapes in what torch.save wrote, or in a folder with config.json and model.safetensors.

    Raises BoxwiseError that says what was `expected`: for a file that is missing, truncated, no file of torch's or without weights.
    """
    if path.is_dir():
        return _of_folder(path, expected)
    with _in_words(path, expected):
        contents = _of_zip(path) if zipfile.is_zipfile(path) else _of_older(path)
    inner = {} if not isinstance(contents, Mapping) else {key: contents.get(key) for key in ("boxwise", "name", "network", "model")}
    if inner.get("boxwise") == "detector" and isinstance(inner["network"], Mapping):
        return Header(_shapes(inner["network"]), str(inner["name"]))
    state = inner["model"] if isinstance(inner.get("model"), Mapping) else contents
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, _Tensor) for value in state.values()):
        raise BoxwiseError(f"{path}: expected {expected}, found a {type(state).__name__} that is no state dict of tensors.")
    return Header(_shapes(state))


@contextmanager
def _in_words(path: Path, expected: str) -> Iterator[None]:
    """BoxwiseError for whatever reading `path` raises."""
    try:
        yield
    except OSError as error:
        raise BoxwiseError(f"{path}: expected {expected}, found a file that cannot be read ({error.strerror or error}).") from None
    except Exception as error:  # foreign bytes are read as instructions, and may raise anything
        reason = f" ({error})" if isinstance(error, _NoWeightsError) else ""
        raise BoxwiseError(f"{path}: expected {expected}, found a file that is truncated or holds none{reason}.") from None


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: value.shape for name, value in state.items() if isinstance(value, _Tensor)}


def _of_zip(path: Path) -> Any:
    """torch.save's file: a pickle in which each tensor names a further member that holds its numbers."""
    with zipfile.ZipFile(path) as archive:
        name = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
        if name is None:
            raise _NoWeightsError("a zip file without data.pkl")
        with archive.open(name) as file:
            return _Reader(file).load()


def _of_older(path: Path) -> Any:
    """A row of pickles, then the numbers of all tensors."""
    with path.open("rb") as file:
        if _Reader(file).load() != _BEFORE_ZIP:
            raise _NoWeightsError("not written by torch.save")
        _Reader(file).load()  # the protocol
        _Reader(file).load()  # byte order and sizes of types
        reader = _Reader(file)
        contents = reader.load()
        _Reader(file).load()  # the names of the storages
        missing = sum(reader.storages.values()) - (path.stat().st_size - file.tell())
    if missing > 0:
        raise _NoWeightsError(f"{missing} bytes are missing")
    return contents


def _of_folder(folder: Path, expected: str) -> Header:
    """What the package transformers saves of a model."""
    about, weights = folder / "config.json", folder / "model.safetensors"
    if missing := [file.name for file in (about, weights) if not file.is_file()]:
        raise BoxwiseError(f"{folder}: expected {expected}, found a folder without {' and '.join(missing)}.")
    with _in_words(about, expected):
        architecture = dict(json.loads(about.read_text(encoding="utf-8")))
    with _in_words(weights, expected):
        return Header(_of_safetensors(weights), None, str(architecture.get("model_type")), architecture)


def _of_safetensors(path: Path) -> dict[str, tuple[int, ...]]:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(min(length, path.stat().st_size)))
        numbers = path.stat().st_size - file.tell()
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    if max((entry["data_offsets"][1] for entry in entries.values()), default=0) > numbers:
        raise _NoWeightsError("its end is missing")
    return {name: tuple(entry["shape"]) for name, entry in entries.items()}


class _Reader(pickle.Unpickler):
    """Reads a pickle of torch's. storages: key → bytes of the numbers that its tensors lie in."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, int] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch._utils" and name.startswith("_rebuild_tensor"):
            return lambda storage, offset, shape, *rest: _Tensor(tuple(shape))
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *rest: tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        return type(name, (_StandIn,), {})

    def persistent_load(self, pid: Any) -> None:
        _, kind, key, _, count = pid[:5]
        self.storages[key] = count * _ITEM_BYTES.get(kind.__name__, 1)

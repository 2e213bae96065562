"""The file that holds a fitted scorer, for the other processes that inspect the same pool.

A pickle of which no more is made when it is read than tensors, numbers, and what the code that scores consists of: a file that somebody
else has put there runs nothing. Knows nothing of what a scorer goes by.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib import import_module
from pathlib import Path
from pickle import PicklingError
from typing import Any, cast

import numpy as np
import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from boxwise.detectors.weights_file import write_torch
from boxwise.errors import BoxwiseError
from boxwise.files import replacing
from boxwise.scorers.base import Scorer
from boxwise.scorers.checked import CheckedScorer

_CLASSES_OF = ("torch.nn.modules", "boxwise.config", "boxwise.detectors", "boxwise.scorers")
_FUNCTIONS_OF = ("boxwise.evaluation", "boxwise.scorers.pal", "boxwise.scorers.uncertainty")  # formulae of numbers
_NUMPY: tuple[Any, ...] = (
    *(np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in (bool, np.int64, np.float16, np.float32, np.float64))),
    *(np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]),
    *(np.max, np.mean, np.sum),
)


def write_fitted(path: Path, scorer: Scorer) -> None:
    """The scorer, whole or absent. BoxwiseError for one that cannot be pickled."""
    try:
        with replacing(path) as aside:
            write_torch(scorer, aside)
    except (AttributeError, TypeError, PicklingError) as error:
        whose = scorer.whose if isinstance(scorer, CheckedScorer) else f"scorer {type(scorer).__name__}"
        raise BoxwiseError(
            f"{whose} cannot be kept for the other processes that score: {error}. Give it a class at the top of a "
            "module, and attributes that can be pickled."
        ) from error


def read_fitted(path: Path, *, device: torch.device, packages: Collection[str] = ()) -> Scorer | None:
    """What `write_fitted` wrote, on `device`; None where the file is gone or damaged, or names what no scorer is made of.

    packages: those beside boxwise whose scorers and detectors are in use.
    """
    try:
        with safe_globals([*_NUMPY, *_trusted(path, packages)]):
            return cast(Scorer, torch.load(path, map_location=device, weights_only=True))
    except Exception:  # a damaged pickle raises anything
        return None


def _trusted(path: Path, packages: Collection[str]) -> Iterator[Any]:
    """Of what the file names, that which may be made: a module is only imported where its name says that it is one of ours."""
    from boxwise.detectors.detector import pickled

    yield pickled
    for name in get_unsafe_globals_in_checkpoint(path):
        if any(_within(name, package) for package in (*_CLASSES_OF, *_FUNCTIONS_OF, *packages)):
            module, _, attribute = name.rpartition(".")
            found = getattr(import_module(module), attribute)
            if isinstance(found, type) or any(_within(name, package) for package in (*_FUNCTIONS_OF, *packages)):
                yield found


def _within(name: str, package: str) -> bool:
    return name.startswith(f"{package}.")

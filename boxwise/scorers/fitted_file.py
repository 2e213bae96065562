"""The file that holds a fitted scorer, for the other processes that inspect the same pool.

It is a pickle: what writes it and what reads it trust each other. Knows nothing of what a scorer goes by.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch

from boxwise.files import replacing
from boxwise.scorers.base import Scorer


def write_fitted(path: Path, scorer: Scorer) -> None:
    """The scorer, whole or absent."""
    with replacing(path) as aside:
        torch.save(scorer, aside)


def read_fitted(path: Path, *, device: torch.device) -> Scorer | None:
    """What `write_fitted` wrote, on `device`; None where the file is gone or damaged."""
    try:
        return cast(Scorer, torch.load(path, map_location=device, weights_only=False))
    except Exception:  # a damaged pickle raises anything
        return None

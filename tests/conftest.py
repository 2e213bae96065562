"""Fixtures shared by all tests: where the optional real data and weights lie, and quiet, single-threaded torch."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
_SHARED = Path(__file__).resolve().parents[2] / "shared"


def _folder(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable, _SHARED / name))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}: set {variable} to run the tests on real {name}")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with bccd, fod (VOC), pothole (COCO) and coco256 (YOLO); skips where it is absent."""
    return _folder("BOXWISE_DATA", "data")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """Folder with ImageNet backbone weights; skips where it is absent."""
    return _folder("BOXWISE_WEIGHTS", "weights")

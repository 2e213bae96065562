"""Real image files for the scorers."""

import pytest
from dark_scenes import write_image

from boxwise.records import ImageRecord


@pytest.fixture
def scenes(tmp_path) -> list[ImageRecord]:
    """Twelve images, every third without a rectangle."""
    blobs = [None if index % 3 == 2 else (4 + 8 * index, 16, 36 + 6 * index, 64) for index in range(12)]
    return [write_image(tmp_path, f"{index:02}.png", blob=blob, seed=index) for index, blob in enumerate(blobs)]

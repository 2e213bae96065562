import pytest

from boxwise.data.formats.layout import shared_stems, split_named
from boxwise.records import Split


@pytest.mark.parametrize(("name", "split"), [
    ("instances_train2017", Split.TRAIN), ("val", Split.VAL), ("Valid", Split.VAL), ("test-dev", Split.TEST),
    ("trainval", Split.TRAIN), ("latest", None), ("training_and_validation", None), ("contest", None), ("", None),
])  # fmt: skip
def test_the_split_a_name_says(name: str, split: Split | None) -> None:
    assert split_named(name) == split


def test_stems_that_several_images_share() -> None:
    assert shared_stems(["a.png", "a.jpg", "b/a.png", "c.png", "c.d.png"]) == {"a"}

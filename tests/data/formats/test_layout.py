import pytest

from boxwise.data.formats.layout import folder_split, is_about, shared_stems, split_named
from boxwise.records import Split


@pytest.mark.parametrize(("name", "split"), [
    ("instances_train2017", Split.TRAIN), ("val", Split.VAL), ("Valid", Split.VAL), ("test-dev", Split.TEST),
    ("trainval", Split.TRAIN), ("latest", None), ("training_and_validation", None), ("contest", None), ("", None),
])  # fmt: skip
def test_the_split_a_name_says(name: str, split: Split | None) -> None:
    assert split_named(name) == split


@pytest.mark.parametrize(("folder", "split"), [
    ("train", Split.TRAIN), ("Train", Split.TRAIN), ("train2017", Split.TRAIN), ("train_images", Split.TRAIN), ("trainval", Split.TRAIN),
    ("training", Split.TRAIN), ("data_train", Split.TRAIN), ("train-set", Split.TRAIN), ("train_0", Split.TRAIN), ("val2017", Split.VAL),
    ("images_val", Split.VAL), ("valid", Split.VAL), ("validation", Split.VAL), ("labels val", Split.VAL), ("test2019", Split.TEST),
    ("test-dev", Split.TEST), ("test_dev2017", Split.TEST), ("VisDrone2019-DET-test-challenge", Split.TEST), ("VOC2007_test", Split.TEST),
    ("cityscapes_val", Split.VAL), ("coco_val2017", Split.VAL),
    ("test_drive_1", None), ("testing_ground", None), ("train_yard", None), ("data_for_testing", None), ("crash_test", None),
    ("train_val", None), ("latest", None), ("freight train", None), ("images", None), ("test_1_drive", None), ("2019", None),
])  # fmt: skip
def test_the_split_a_folder_is_called_after(folder: str, split: Split | None) -> None:
    assert folder_split(f"{folder}/deeper/a.jpg") == split and folder_split(f"images/{folder}/a.jpg") is None


def test_stems_that_several_images_share() -> None:
    assert shared_stems(["a.png", "a.jpg", "b/a.png", "c.png", "c.d.png"]) == {"a"}


@pytest.mark.parametrize(("name", "about"), [("README.roboflow.txt", True), ("license.txt", True), ("license_plate.txt", False)])
def test_texts_about_a_whole_set_are_told_from_labels_of_plates(name: str, about: bool) -> None:
    assert is_about(name) is about

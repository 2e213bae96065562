import pytest

from boxwise.data.coco_classes import COCO_CLASSES, SYNONYMS, known_classes


def test_there_are_80_names_and_each_synonym_is_of_one_of_them():
    assert len(COCO_CLASSES) == len(set(COCO_CLASSES)) == 80
    assert (COCO_CLASSES[0], COCO_CLASSES[39], COCO_CLASSES[79]) == ("person", "bottle", "toothbrush")
    assert set(SYNONYMS.values()) <= set(COCO_CLASSES)
    assert not set(SYNONYMS) & set(COCO_CLASSES)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("Traffic_Light", "traffic light"),
        ("cars", "car"),
        ("buses", "bus"),
        ("knives", "knife"),
        ("aeroplane", "airplane"),
        ("motorbikes", "motorcycle"),
        ("scissors", "scissors"),
        ("Mobile-Phone", "cell phone"),
        ("glass", None),
        ("woman", None),
        ("", None),
    ],
)
def test_a_class_is_known_by_its_name_a_synonym_or_a_plural(name, known):
    assert known_classes([name]) == ({} if known is None else {0: known})


def test_a_known_class_is_given_once_and_to_its_very_name_first():
    assert known_classes(["pedestrian", "people", "person", "dent"]) == {2: "person"}
    assert known_classes(["pedestrian", "people"]) == {0: "person"}


def test_names_that_another_detector_learned():
    assert known_classes(["dent", "Scratch"], ["scratch", "rust"]) == {1: "scratch"}

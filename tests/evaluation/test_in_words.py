import pytest

from boxwise.evaluation.in_words import ap_in_words, few, with_interval

KNOWN = {"ap": 0.31, "ap50": 0.5, "images": 40, "intervals": {"ap": [0.25, 0.37], "ap50": [0.4, 0.6]}}


def test_an_ap_comes_with_its_interval_and_its_images():
    assert ap_in_words(KNOWN) == "AP 0.310 (0.25 to 0.37), AP50 0.500 (0.40 to 0.60) on 40 images"


def test_few_images_are_said_to_say_little():
    assert ap_in_words(KNOWN | {"images": 1}).endswith("on 1 image, fewer than 30 say little")
    assert (few(29), few(30)) == (", fewer than 30 say little", "")


@pytest.mark.parametrize("intervals", [None, {}, {"ap": [0.2, 0.3]}])
def test_what_older_rounds_do_not_know_is_left_out(intervals):
    assert with_interval(KNOWN | {"intervals": intervals}, "ap50") == "0.500"
    assert with_interval(KNOWN | {"ap": None}, "ap").startswith("-")

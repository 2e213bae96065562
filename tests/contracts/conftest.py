"""What is heavy of a detector is in the fast tier for the lightest networks alone: training, and building it in its usual size."""

import pytest

HEAVY = {
    "test_equal_seeds_and_samples_give_equal_detectors_and_save_and_load_keep_them",
    "test_training_changes_the_weights_and_a_file_says_what_it_is_of",
    "test_its_usual_size_is_what_its_name_declares",
}
LIGHTEST = {"tiny_ssd", "yolox_nano"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and item.originalname in HEAVY and item.callspec.params["name"] not in LIGHTEST:
            item.add_marker(pytest.mark.slow)

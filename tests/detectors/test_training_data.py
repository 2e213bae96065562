"""What a step trains on: a function of seed and step, full batches, a bounded cache."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dot_network import dot_samples
from made_targets import EVERYWHERE

from boxwise.boxes import Boxes
from boxwise.detectors.input import InputSpec
from boxwise.detectors.training_data import ImageCache, TrainingBatches
from boxwise.records import Sample

Options = dict[str, Any]


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> list[Sample]:
    return dot_samples(tmp_path_factory.mktemp("dots"), count=10)


class TestTrainingBatches:
    def batches(self, samples: list[Sample], **changes: Any) -> TrainingBatches:
        options: Options = {"batch": 4, "share": range(4), "spec": InputSpec(32), "augment": "none", "seed": 0, "cache_mb": 16}
        return TrainingBatches(samples, **(options | changes))

    def test_every_image_once_an_epoch_in_a_new_order(self, samples):
        batches = self.batches(samples)
        drawn = [batches.sample_index(number) for number in range(30)]
        epochs = [drawn[:10], drawn[10:20], drawn[20:]]
        assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
        assert epochs[0] != epochs[1] != epochs[2]

    def test_a_batch_depends_on_its_step_alone(self, samples):
        batches = self.batches(samples, augment="ssd")
        late = batches[5]
        for step in range(5):
            assert not torch.equal(batches[step].pixels, late.pixels)
        assert torch.equal(self.batches(samples, augment="ssd")[5].pixels, batches[5].pixels)

    def test_shares_make_up_the_whole_batch(self, samples):
        whole = self.batches(samples, augment="ssd")[2]
        halves = [self.batches(samples, augment="ssd", share=share)[2] for share in (range(2), range(2, 4))]
        assert torch.equal(whole.pixels, torch.cat([half.pixels for half in halves]))

    def test_targets_are_in_input_pixels_with_the_background_shift(self, samples):
        batches = self.batches(samples, share=range(1), batch=1)
        sample, batch = samples[batches.sample_index(3)], batches[3]
        np.testing.assert_allclose(batch.targets[0].xyxy.numpy(), sample.boxes.xyxy * 0.8, rtol=1e-6)
        assert batch.targets[0].classes.tolist() == [1] * len(sample.boxes)

    def test_the_cache_is_bounded_and_changes_nothing(self, tmp_path):
        (sample,) = dot_samples(tmp_path, count=1, side=200)
        kept, none = ImageCache(32, 1), ImageCache(32, 0)
        first = kept.read(sample)
        assert tuple(first.shape) == (3, 64, 64)
        assert kept.read(sample) is first
        assert none.read(sample) is not none.read(sample)
        assert torch.equal(none.read(sample), first)

    @pytest.mark.parametrize("resize", ["stretch", "fit"])
    @pytest.mark.parametrize("recipe", ["ssd", "flip", "none"])
    def test_rejected_boxes_and_weights_move_with_the_image(self, tmp_path, recipe, resize):
        """Every object is rejected too, in reverse order, and weighs a tenth of its class."""
        plain = crowded_samples(tmp_path)
        facts = [replace(s, rejected=s.boxes.xyxy[::-1], weights=(s.boxes.labels.astype(np.float32) + 1) / 10) for s in plain]
        batches, plain_batches = (self.batches(s, augment=recipe, spec=InputSpec(64, resize)) for s in (facts, plain))
        lost = 0
        for step in range(10):
            batch, plain_batch = batches[step], plain_batches[step]
            assert torch.equal(batch.pixels, plain_batch.pixels)  # they draw nothing, and no crop is chosen for their sake
            for target, plain_target in zip(batch.targets, plain_batch.targets, strict=True):
                assert torch.equal(target.xyxy, plain_target.xyxy)
                assert torch.equal(target.background.flip(0), target.xyxy)
                np.testing.assert_allclose(target.weights, target.classes / 10)
                lost += 9 - len(target.xyxy)
        assert (lost > 0) == (recipe == "ssd" and resize == "stretch")

    @pytest.mark.parametrize("recipe", ["ssd", "none"])
    def test_what_is_to_be_ignored_stays_as_far_as_it_is_seen(self, tmp_path, recipe):
        """An object whose centre leaves the crop is dropped; a region to ignore is not, or what is left of it would be background."""
        plain = crowded_samples(tmp_path)
        crowds = [replace(s, boxes=replace(s.boxes, crowd=s.boxes.labels > 0)) for s in plain]
        weighed = [replace(s, weights=(s.boxes.labels == 0).astype(np.float32)) for s in plain]
        more = 0
        for step in range(10):
            results = [self.batches(s, augment=recipe, spec=InputSpec(64))[step].targets for s in (plain, crowds, weighed)]
            for whole, crowd, light in zip(*results, strict=True):
                assert torch.equal(crowd.ignore, light.ignore)
                assert torch.equal(crowd.xyxy, light.xyxy)
                assert len(whole.xyxy) <= len(crowd.xyxy) + len(crowd.ignore)
                more += len(crowd.xyxy) + len(crowd.ignore) - len(whole.xyxy)
        assert (more > 0) == (recipe == "ssd")

    def test_an_incomplete_image_stays_so(self, samples):
        incomplete = [replace(s, complete=False) for s in samples]
        targets = self.batches(incomplete, augment="ssd")[0].targets
        assert targets and all(target.ignore.tolist() == EVERYWHERE for target in targets)


def crowded_samples(folder: Path) -> list[Sample]:
    """Four images of 90 × 90 pixels with nine objects each, of classes 0 to 8."""
    corner = 30 * np.stack(np.divmod(np.arange(9), 3), axis=1)
    boxes = Boxes(np.hstack([corner, corner + 28]).astype(np.float32), np.arange(9))
    return [replace(s, boxes=boxes) for s in dot_samples(folder, count=4, side=90)]

"""What a step trains on: a function of seed and step, full batches, a bounded cache."""

from typing import Any

import numpy as np
import pytest
import torch
from dot_network import dot_samples

from boxwise.detectors.training_data import ImageCache, TrainingBatches
from boxwise.records import Sample

Options = dict[str, Any]


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> list[Sample]:
    return dot_samples(tmp_path_factory.mktemp("dots"), count=10)


class TestTrainingBatches:
    def batches(self, samples: list[Sample], **changes: Any) -> TrainingBatches:
        options: Options = {"batch": 4, "share": range(4), "imgsz": 32, "resize": "stretch", "recipe": "none", "seed": 0, "cache_mb": 16}
        return TrainingBatches(samples, **(options | changes))

    def test_every_image_once_an_epoch_in_a_new_order(self, samples):
        batches = self.batches(samples)
        drawn = [batches.sample_index(number) for number in range(30)]
        epochs = [drawn[:10], drawn[10:20], drawn[20:]]
        assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
        assert epochs[0] != epochs[1] != epochs[2]

    def test_a_batch_depends_on_its_step_alone(self, samples):
        batches = self.batches(samples, recipe="ssd")
        late = batches[5]
        for step in range(5):
            assert not torch.equal(batches[step].pixels, late.pixels)
        assert torch.equal(self.batches(samples, recipe="ssd")[5].pixels, batches[5].pixels)

    def test_shares_make_up_the_whole_batch(self, samples):
        whole = self.batches(samples, recipe="ssd")[2]
        halves = [self.batches(samples, recipe="ssd", share=share)[2] for share in (range(2), range(2, 4))]
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

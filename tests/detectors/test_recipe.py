"""A family's recipe fills what the user left open, and val decides the length where it can."""

from boxwise.config import TrainConfig
from boxwise.detectors.recipe import Recipe, settled, training_steps

RECIPE = Recipe(optimizer="adamw", lr=0.002, weight_decay=0.1, warmup_steps=7, ema=0.9, augment="scale", clip_norm=1.0)


def test_open_choices_are_the_familys_and_given_ones_stay():
    config = settled(TrainConfig(batch=32, warmup_steps=0, augment="none"), RECIPE, val_images=0)
    assert (config.optimizer, config.lr, config.weight_decay, config.ema, config.clip_norm) == ("adamw", 0.004, 0.1, 0.9, 1.0)
    assert (config.warmup_steps, config.augment) == (0, "none")


def test_val_decides_the_length_only_where_there_is_val_and_the_length_is_open():
    assert settled(TrainConfig(), RECIPE, val_images=10).schedule == "plateau"
    assert settled(TrainConfig(), RECIPE, val_images=0).schedule == "cosine"
    assert settled(TrainConfig(min_steps=9, max_steps=9), RECIPE, val_images=10).schedule == "cosine"
    assert settled(TrainConfig(val_every=5, ap_shift=0.1), RECIPE, val_images=10).schedule == "cosine"
    assert settled(TrainConfig(schedule="constant"), RECIPE, val_images=10).schedule == "constant"


def test_a_large_val_is_looked_at_less_often():
    few, many = (settled(TrainConfig(), RECIPE, val_images=images).val_every for images in (10, 5000))
    assert (few, many) == (40, 1000)
    assert settled(TrainConfig(min_steps=9, max_steps=9), RECIPE, val_images=10).val_every == 0


def test_length_multiplies_the_steps():
    assert training_steps(20, TrainConfig()) == 240
    assert training_steps(20, TrainConfig(length=2.0)) == 480
    assert training_steps(10**6, TrainConfig(length=0.5)) == 10_000

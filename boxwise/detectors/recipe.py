"""How a family of detectors is trained where the user has not said: optimiser, rates, averaging, augmentation; and how long.

Returns a TrainConfig without open choices. Knows nothing of networks, images or steps taken.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from boxwise.config import TrainConfig

REFERENCE_BATCH = 16  # the batch for which a recipe's rate is given; the rate grows in proportion to the batch
COOLDOWN = 0.2  # share of a "plateau" training over which the learning rate falls
LEAST_INTERVAL, IMAGES_A_STEP = 40, 5  # steps between evaluations: at least 40, and one for each 5 val images, about a tenth of the time


@dataclass(frozen=True)
class Recipe:
    """A family's own settings; see the keys of the same names in config.TrainConfig. lr: for a batch of 16."""

    optimizer: str = "sgd"
    lr: float = 0.01
    weight_decay: float = 5e-4
    warmup_steps: int = 50
    ema: float = 0.998
    augment: str = "ssd"
    clip_norm: float = 10.0


def settled(config: TrainConfig, recipe: Recipe, *, val_images: int) -> TrainConfig:
    """`config` with every open choice made: the family's recipe, the schedule, and how often val is looked at."""
    own = asdict(recipe) | {"lr": recipe.lr * config.batch / REFERENCE_BATCH}
    chosen = {name: value for name, value in own.items() if getattr(config, name) in (None, "auto")}
    schedule = config.schedule if config.schedule != "auto" else "plateau" if _watches(config, val_images) else "cosine"
    interval = max(LEAST_INTERVAL, math.ceil(val_images / IMAGES_A_STEP)) if schedule == "plateau" else 0
    every = interval if config.val_every is None else config.val_every
    return config.model_copy(update={**chosen, "schedule": schedule, "val_every": every})


def _watches(config: TrainConfig, val_images: int) -> bool:
    """Whether val decides how long the training is: it can, its length is open, and no other rule was asked for."""
    return val_images > 0 and config.min_steps < config.max_steps and config.val_every != 0 and config.ap_shift == 0


def of_length(config: TrainConfig, steps: int) -> TrainConfig:
    """`config` for a training of `steps` steps without val, whose learning rate falls as it would have with val."""
    schedule = "plateau" if config.schedule == "auto" and _watches(config, val_images=1) else config.schedule
    fixed = {"min_steps": steps, "max_steps": steps, "length": 1.0, "ap_shift": 0.0, "val_every": 0, "schedule": schedule}
    return config.model_copy(update=fixed)


def training_steps(images: int, config: TrainConfig) -> int:
    """Steps that make `config.epochs` passes over `images`, held within [min_steps, max_steps], times `config.length`.

    What a training of the schedule "plateau" takes at most; all others take just as many.
    """
    return math.ceil(config.length * min(max(math.ceil(config.epochs * images / config.batch), config.min_steps), config.max_steps))

"""What annotation costs: seconds of a person's time, charged by the act, and what these cost at an hourly rate.

Returns seconds and money. Knows nothing of images, detectors or who answered.

The defaults of `CostConfig` are published means: 7.0 s to draw a box by extreme clicking (Papadopoulos et al., ICCV 2017; 25.5 s in the
way ImageNet was drawn, Su et al., AAAI workshop 2012), 1.6 s to verify one (Papadopoulos et al., CVPR 2016; others report up to 3.5 s).
Correcting is charged as drawing and deleting as verifying; the 2 s look over an image for missed objects is an assumption.
"""

from __future__ import annotations

from boxwise.config import CostConfig
from boxwise.records import Action

_HOUR = 3600.0


def charge(action: Action, config: CostConfig) -> float:
    """Seconds for one act. A new class is charged as a correction: the box was looked at, refused and answered again."""
    return {
        Action.KEEP: config.verify,
        Action.MOVE: config.correct,
        Action.RELABEL: config.correct,
        Action.DELETE: config.delete,
        Action.ADD: config.draw,
    }[action]


def by_hand(images: int, boxes: int, config: CostConfig) -> float:
    """Seconds to label everything without a suggestion: a look at each image, and a drawing for each box."""
    return images * config.look + boxes * config.draw


def price(seconds: float, config: CostConfig) -> float:
    """What so many seconds of labelling cost, in the currency of `cost.per_hour`."""
    return seconds * config.per_hour / _HOUR


def in_digits(amount: float) -> str:
    """An amount of images, boxes, seconds or money for people: 1,234 or 2.05."""
    return f"{amount:,.2f}".rstrip("0").rstrip(".")


def seconds_for(money: float, config: CostConfig) -> float:
    """The seconds of labelling that so much money pays for; `cost.per_hour` is above 0."""
    return money * _HOUR / config.per_hour

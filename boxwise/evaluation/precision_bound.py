"""From which score detections are right often enough, shown on a sample with stated confidence.

Returns a score, or the lower limit of a precision. Knows nothing of boxes, classes or which split the sample is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import special

LOOK = 2.0  # times the fewest detections that could show the precision, were all right: the first look, which one error must not end
STEP = 1.25  # more detections from one look to the next
MIN_ABOVE = 10  # fewer detections show nothing, however low the target


def first_look(target: float, confidence: float) -> int:
    """Detections above a threshold from which it is asked whether they show a precision of `target`."""
    return max(MIN_ABOVE, math.ceil(LOOK * math.log(1 - confidence) / math.log(target)))


def lowest_threshold(scores: NDArray[np.float64], correct: NDArray[np.bool_], *, target: float, confidence: float) -> float:
    """The smallest score from which detections are right `target` of the time with chance `confidence` or more; inf where none is shown.

    scores: float64 [N]; correct: bool [N], whether each detection was right.
    The best-scored detections are looked at first, twice as many as could show the target were all right (29 for .85 at 90%, 90 for .95),
    then always a quarter more, in the end all, and the last threshold counts at which the lower Clopper-Pearson limit of their precision
    reaches the target. The looks are tests in a fixed order that ends with the first failure, so the chance of error is that of one test
    (Angelopoulos et al., "Learn then Test", 2021); how many are looked at depends on the scores alone. Taken for granted is that
    detections are independent of one another, and that those to come are like the sample's.
    """
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], np.cumsum(correct[order])
    threshold = math.inf
    for above in _looks(len(scores), first_look(target, confidence)):
        count = int(np.searchsorted(-scores, -scores[above - 1], side="right"))  # detections of one score stand or fall together
        if precision_bound(int(right[count - 1]), count, confidence=confidence) < target:
            break
        threshold = float(scores[count - 1])
    return threshold


def _looks(count: int, first: int) -> Iterator[int]:
    """How many of `count` detections are looked at: `first`, always a quarter more, and in the end all."""
    above = float(first)
    while above < count:
        yield int(above)
        above *= STEP
    if count >= first:
        yield count


def precision_bound(right: int, count: int, *, confidence: float) -> float:
    """Lower limit of a precision of which `right` of `count` detections were seen (Clopper & Pearson, Biometrika 1934)."""
    return float(special.betaincinv(right, count - right + 1, 1 - confidence)) if right else 0.0

"""The AP of a set of images in words, never without how many images and how far chance may have moved it.

Returns text. Takes the JSON of `average_precision.Metrics`, as rounds and weights files keep it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ENOUGH_IMAGES = 30  # below which the interval of an AP is commonly wider than .1


def ap_in_words(metrics: Mapping[str, Any]) -> str:
    """AP and AP50 with their 95% intervals, where these are known, on how many images; and a word where so few say little.

    >>> ap_in_words({"ap": 0.31, "ap50": 0.5, "images": 12, "intervals": {"ap": (0.25, 0.37)}})
    'AP 0.310 (0.25 to 0.37), AP50 0.500 on 12 images, fewer than 30 say little'
    """
    figures = ", ".join(f"{name} {with_interval(metrics, key)}" for name, key in (("AP", "ap"), ("AP50", "ap50")))
    images = metrics["images"]
    return f"{figures} on {images} image{'' if images == 1 else 's'}{few(images)}"


def with_interval(metrics: Mapping[str, Any], key: str) -> str:
    """The AP `key` with its 95% interval, where that is known; '-' where the AP is not."""
    value, limits = metrics.get(key), (metrics.get("intervals") or {}).get(key)
    return ("-" if value is None else f"{value:.3f}") + (f" ({limits[0]:.2f} to {limits[1]:.2f})" if limits else "")


def few(images: int) -> str:
    """A word, as a clause, where so many images say little."""
    return f", fewer than {ENOUGH_IMAGES} say little" if images < ENOUGH_IMAGES else ""

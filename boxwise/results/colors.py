"""The colours of classes and lines, in reports and on pages alike.

Returns hex colours. Knows nothing of charts, and imports nothing, so that the labelling page's server starts fast.
"""

from __future__ import annotations

# Okabe & Ito's palette, safe for colour-blind readers.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7B61C4")


def class_colors(count: int) -> list[str]:
    """A colour for each class; beyond the palette they repeat, and names tell them apart."""
    return [PALETTE[index % len(PALETTE)] for index in range(count)]

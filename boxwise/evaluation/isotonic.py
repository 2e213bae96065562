"""Isotonic regression: the rising curve that is nearest to scattered values.

Returns a curve as its knots. Knows nothing of what rises with what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RisingCurve:
    """Linear between its knots (x, y), both float64 [K] and rising, and constant outside of them."""

    x: Values
    y: Values

    @classmethod
    def fit(cls, x: Values, y: Values, weights: Values) -> Self:
        """The curve within [0, 1] nearest to `y` [N] in weighted squares (pool adjacent violators; Barlow et al., 1972); N of 1 or more."""
        from sklearn.isotonic import IsotonicRegression  # half a second of imports

        fitted = IsotonicRegression(y_min=0, y_max=1).fit(x, y, sample_weight=weights)
        return cls(np.asarray(fitted.X_thresholds_, np.float64), np.asarray(fitted.y_thresholds_, np.float64))

    def __call__(self, x: Values) -> Values:
        return np.interp(x, self.x, self.y)

"""What every strategy promises, for each one that has a name."""

from boxwise.registry import STRATEGIES
from boxwise.testing import StrategyContract


class TestStrategies(StrategyContract):
    names = tuple(STRATEGIES)

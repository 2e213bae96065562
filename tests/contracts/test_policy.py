"""What every policy promises, for each one that has a name."""

from boxwise.registry import POLICIES
from boxwise.testing import PolicyContract


class TestPolicies(PolicyContract):
    names = tuple(POLICIES)

"""This package's methods keep boxwise's promises."""

from boxwise.testing import DetectorContract, EmbedderContract, PolicyContract, ScorerContract, StrategyContract


class TestStrategy(StrategyContract):
    names = ("crowded",)


class TestScorer(ScorerContract):
    names = ("brightness",)


class TestPolicy(PolicyContract):
    names = ("newest",)


class TestDetector(DetectorContract):
    names = ("bright_box",)


class TestEmbedder(EmbedderContract):
    names = ("colours",)

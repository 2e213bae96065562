"""What boxwise is to know of this package's methods, before any of them is imported."""

from typing import Literal

from pydantic import Field

from boxwise.registry import Method, Options, ScorerOptions


class CrowdedOptions(Options):
    most: int = Field(100, ge=1, description="boxes beyond which an image counts as no more crowded")


class BrightnessOptions(ScorerOptions):
    wanted: Literal["dark", "bright"] = Field("dark", description="which images are worth more")


class ColoursOptions(Options):
    cells: int = Field(4, ge=1, le=16, description="cells to a side, each with its mean colour")


CROWDED = Method(
    "boxwise_example.strategy:Crowded",
    "the images on which the detector expects the most boxes",
    options=CrowdedOptions,
    needs=frozenset({"trained_detector"}),
)
BRIGHTNESS = Method("boxwise_example.scorer:brightness", "the mean brightness of an image", options=BrightnessOptions)
NEWEST = Method("boxwise_example.policy:Newest", "the images asked about this round")
COLOURS = Method("boxwise_example.embedder:colours", "the colours of an image, cell by cell", options=ColoursOptions)
BRIGHT_BOX = Method("boxwise_example.detector:build", "the bounding box of what is bright", paper="none", offers=frozenset())

"""Boxwise: active learning for object detection.

What a user needs from Python is importable from here, and loaded on first use, so that importing the package costs nothing:

- a study: `Study`, `StudyConfig`, `load_config`, `Annotator`;
- data: `read_dataset`, `read_pool`, `Dataset`, `make_digits` for scenes to try things on;
- what comes in and out: `ImageRecord`, `Boxes`, `Query`, `QueryItem`, `Proposals`, `Verdict`, `Annotation`, with the words `Action`,
  `Phase`, `Source`, `Split`;
- comparing strategies: `Plan`, `simulate`;
- a trained detector: `load`, to predict with; `load_detector`;
- `BoxwiseError`, which every mistake of a user's raises.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from boxwise.boxes import Boxes as Boxes
    from boxwise.config import StudyConfig as StudyConfig
    from boxwise.config import load_config as load_config
    from boxwise.data.datasets import read_dataset as read_dataset
    from boxwise.data.datasets import read_pool as read_pool
    from boxwise.data.digits import make_digits as make_digits
    from boxwise.data.formats.base import Dataset as Dataset
    from boxwise.detectors.detector import load_detector as load_detector
    from boxwise.errors import BoxwiseError as BoxwiseError
    from boxwise.inference import load as load
    from boxwise.records import Action as Action
    from boxwise.records import Annotation as Annotation
    from boxwise.records import ImageRecord as ImageRecord
    from boxwise.records import Phase as Phase
    from boxwise.records import Proposals as Proposals
    from boxwise.records import Query as Query
    from boxwise.records import QueryItem as QueryItem
    from boxwise.records import Source as Source
    from boxwise.records import Split as Split
    from boxwise.records import Verdict as Verdict
    from boxwise.simulation.simulate import Plan as Plan
    from boxwise.simulation.simulate import simulate as simulate
    from boxwise.study import Annotator as Annotator
    from boxwise.study import Study as Study

_NAMES = {
    "boxwise.boxes": ("Boxes",),
    "boxwise.config": ("StudyConfig", "load_config"),
    "boxwise.data.datasets": ("read_dataset", "read_pool"),
    "boxwise.data.digits": ("make_digits",),
    "boxwise.data.formats.base": ("Dataset",),
    "boxwise.detectors.detector": ("load_detector",),
    "boxwise.errors": ("BoxwiseError",),
    "boxwise.inference": ("load",),
    "boxwise.records": (
        *("Action", "Annotation", "ImageRecord", "Phase", "Proposals", "Query", "QueryItem", "Source", "Split", "Verdict"),
    ),
    "boxwise.simulation.simulate": ("Plan", "simulate"),
    "boxwise.study": ("Annotator", "Study"),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}
__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'boxwise' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

"""Boxwise: active learning for object detection.

The public names, loaded on first use so that importing the package costs nothing: `Study`, `StudyConfig`, `simulate`,
and the frozen nouns `Boxes`, `ImageRecord`, `Annotation`, `Verdict`, `Query`.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "Annotation": "boxwise.records",
    "Boxes": "boxwise.boxes",
    "BoxwiseError": "boxwise.errors",
    "ImageRecord": "boxwise.records",
    "Query": "boxwise.records",
    "Study": "boxwise.study",
    "StudyConfig": "boxwise.config",
    "Verdict": "boxwise.records",
    "simulate": "boxwise.simulation.simulate",
}
__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'boxwise' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

"""A study: one active-learning project in one folder. `study.py` has what is done to it, `reading.py` what it answers."""

from boxwise.study.config_file import CONFIG_FILE
from boxwise.study.study import Annotator, Study

__all__ = ["CONFIG_FILE", "Annotator", "Study"]

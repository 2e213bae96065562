"""The folders in which a study's page was served, so that what a browser could not send is found after the study was moved.

Returns ids under which browsers may hold something. A copy of the study beside it gets nothing: the folder of the other is still one.
"""

from __future__ import annotations

from pathlib import Path

from boxwise.study import Study
from boxwise.study.config_file import CONFIG_FILE

_TOOL = "served_in"


def note_folder(study: Study) -> None:
    """Remember that the page is served where the study lies now."""
    here = str(study.folder.resolve())
    if here not in (study.recall(_TOOL) or []):
        study.remember_among(_TOOL, here)


def left_behind(study: Study) -> list[str]:
    """The ids that the study had in folders in which there is none any more."""
    here = str(study.folder.resolve())
    folders = [folder for folder in study.recall(_TOOL) or [] if folder != here]
    return [study.id_in(folder) for folder in folders if not (Path(folder) / CONFIG_FILE).is_file()]

"""A study whose database several machines share has a folder that they share, too.

Raises one message where they do not. Knows nothing of steps.
"""

from __future__ import annotations

from boxwise.errors import StudyError, quoted
from boxwise.records import Phase
from boxwise.study.reading import StudyReader


def check_shared(study: StudyReader) -> None:
    """StudyError where the files of the last training are not in this folder, of a study whose database lies elsewhere.

    Another folder on the same database has them: each would have a part of the study's files.
    """
    if study.config.store is None:
        return
    number, _ = study.position
    trained = number if Phase.TRAIN.value in study.store.facts_of(number) else number - 1
    if trained >= 0 and not study.files(trained).path.is_dir():
        raise StudyError(
            f"{study.files(trained).path}: expected the files of a round that is trained, found no such folder. All machines that share a "
            f"study's database have to share its folder, too; it was made in {study.store.get('made_in')}. If that is this one, see "
            f"`boxwise repair {quoted(study.folder)}`."
        )

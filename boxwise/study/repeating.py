"""Which finished step of a study may be done again, and in which round.

Returns a round's number, or None where the step is still to come. Changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from boxwise.records import Phase

if TYPE_CHECKING:
    from boxwise.study.reading import StudyReader

_STEPS = tuple(Phase)


def round_to_repeat(study: StudyReader, wanted: Phase) -> int | None:
    """The round whose step `wanted` (TRAIN, EVALUATE or SCORE) is done and may be done again; None if there is none.

    A study that is done may repeat all three of its last round, and a round under way what it has finished. Once the next round has begun,
    its questions were chosen by training and scores, and the evaluation alone may be repeated.
    """
    number, phase = study.position
    if phase is Phase.DONE:
        return number if study.round(number).done(wanted) else number - 1 if number else None
    if phase in (Phase.EVALUATE, Phase.SCORE):
        return number if _STEPS.index(wanted) < _STEPS.index(phase) else None
    scored_anew = phase is Phase.SELECT and wanted is Phase.SCORE
    evaluated_anew = wanted is Phase.EVALUATE and number > study.classes_from
    return number - 1 if number and (scored_anew or evaluated_anew) else None

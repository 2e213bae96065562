"""For whom an image is kept that was sent back: for a day for whoever answered it, where they can come again.

Knows the study's reviews and team; knows nothing of leases or HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from boxwise.store import SentBack
from boxwise.study import Study

KEPT_SECONDS = 24 * 3600.0  # for which an image that was sent back is for whoever answered it


class Keeping:
    """Who of one study can come again. Whether an answer was imported never changes, so it is looked up once."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._imported: dict[int, bool] = {}  # number of an annotation → whether it was

    def kept(self, back: Mapping[str, SentBack], *, at: float) -> set[str]:
        """Of what was sent back that of less than a day ago, and not ahead of the clock, to somebody who can still come.

        at: seconds since the epoch. Who has a link can, and who had one that has ended cannot; without any, who answered on the page or a
        labelling server can, and the name that labels were imported under cannot: nobody may ever come by it.
        """
        lately = {i: sent for i, sent in back.items() if abs(at - datetime.fromisoformat(sent.at).timestamp()) < KEPT_SECONDS}
        gone = self._study.team.gone(at=at) if lately else set()
        imported = self.imported({i: sent for i, sent in lately.items() if sent.to not in gone})
        return {image_id for image_id, sent in lately.items() if sent.to not in gone and image_id not in imported}

    def imported(self, back: Mapping[str, SentBack]) -> set[str]:
        """The images of which an import gave the answer, under the name of nobody who has a link."""
        members = self._study.team.members() if back else {}
        return {image_id for image_id, sent in back.items() if sent.to not in members and self._is_imported(image_id, sent.number)}

    def _is_imported(self, image_id: str, number: int) -> bool:
        if number not in self._imported:
            said = next((event for event in reversed(self._study.events(image_id)) if "remark" in event.body), None)
            self._imported[number] = said is not None and said.handed_in is False
        return self._imported[number]

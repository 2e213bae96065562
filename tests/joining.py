"""Images and given labels that join a study's database later, stored as `Study.add` stores them, without a look at their files."""

from collections.abc import Iterable

from boxwise.records import Annotation, ImageRecord
from boxwise.store import Journal, Store


def join(store: Store, records: Iterable[ImageRecord] = (), labels: Iterable[Annotation] = ()) -> None:
    """Raises StudyError for an image that is in the study, and for a label of one that is not."""
    beside = len(store.image_ids())
    Journal(store).add(list(records), labels, beside=beside, classes=None, rounds=0, round_index=0, who="ann", body={})

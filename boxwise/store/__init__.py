"""The study's database: `store.py` has its verbs, `labelling.py` those of labelling together, `schema.py` the tables.

`rows.py` is what lies between records and rows.
"""

from boxwise.store.accounts import check_person
from boxwise.store.answers import (
    Begun,
    Current,
    HistoryEntry,
    LabelledMeanwhileError,
    LabelsChangedError,
    LabelState,
    Labour,
    Person,
    Stamp,
)
from boxwise.store.backups import SQLITE_DUMP, dump, load
from boxwise.store.browsing import Amounts, BrowsingStore, FoundImage, ScoredImage, Wanted, labels_text
from boxwise.store.connecting import URL, fault_of, file_url, redacted, without_password
from boxwise.store.images import OutBy, fault_by, out_by
from boxwise.store.journal import CLASSES_CHANGED, Journal, StoredEvent, relabels
from boxwise.store.judging import Review
from boxwise.store.labelling import Draft, LabellingStore, Lease
from boxwise.store.pool import LabelledBy, PoolStore
from boxwise.store.reviews import ReviewStore, SentBack, UnderReview
from boxwise.store.rows import PEOPLE
from boxwise.store.store import GIVEN, MODEL, Store
from boxwise.store.team import Member, TeamStore, Work

__all__ = [
    "CLASSES_CHANGED",
    "GIVEN",
    "MODEL",
    "PEOPLE",
    "SQLITE_DUMP",
    "URL",
    "Amounts",
    "Begun",
    "BrowsingStore",
    "Current",
    "Draft",
    "FoundImage",
    "HistoryEntry",
    "Journal",
    "LabelState",
    "LabelledBy",
    "LabelledMeanwhileError",
    "LabellingStore",
    "LabelsChangedError",
    "Labour",
    "Lease",
    "Member",
    "OutBy",
    "Person",
    "PoolStore",
    "Review",
    "ReviewStore",
    "ScoredImage",
    "SentBack",
    "Stamp",
    "Store",
    "StoredEvent",
    "TeamStore",
    "UnderReview",
    "Wanted",
    "Work",
    "check_person",
    "dump",
    "fault_by",
    "fault_of",
    "file_url",
    "labels_text",
    "load",
    "out_by",
    "redacted",
    "relabels",
    "without_password",
]

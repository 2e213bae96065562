"""The study's database: `store.py` has its verbs, `labelling.py` those of labelling together, `schema.py` the tables.

`rows.py` is what lies between records and rows.
"""

from boxwise.store.accounts import check_person
from boxwise.store.answers import Current, HistoryEntry, LabelledMeanwhileError, Labour, Moment, Person, Stamp
from boxwise.store.backups import SQLITE_DUMP, dump, load
from boxwise.store.browsing import Amounts, BrowsingStore, FoundImage, ScoredImage, Wanted, labels_text
from boxwise.store.connecting import URL, fault_of, file_url, shown, without_password
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
    "BrowsingStore",
    "Current",
    "Draft",
    "FoundImage",
    "HistoryEntry",
    "Journal",
    "LabelledBy",
    "LabelledMeanwhileError",
    "LabellingStore",
    "Labour",
    "Lease",
    "Member",
    "Moment",
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
    "fault_of",
    "file_url",
    "labels_text",
    "load",
    "relabels",
    "shown",
    "without_password",
]

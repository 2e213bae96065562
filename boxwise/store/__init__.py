"""The study's database: `store.py` has its verbs, `labelling.py` those of labelling together, `schema.py` the tables.

`rows.py` is what lies between records and rows.
"""

from boxwise.store.answers import HistoryEntry, Labour, Person, Stamp
from boxwise.store.labelling import Draft, LabellingStore, Lease
from boxwise.store.schema import URL, file_url
from boxwise.store.store import GIVEN, MODEL, Store

__all__ = ["GIVEN", "MODEL", "URL", "Draft", "HistoryEntry", "LabellingStore", "Labour", "Lease", "Person", "Stamp", "Store", "file_url"]

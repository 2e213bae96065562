"""The study's database: `store.py` has its verbs, `schema.py` its tables, `rows.py` what lies between records and rows."""

from boxwise.store.store import GIVEN, MODEL, Labour, Store

__all__ = ["GIVEN", "MODEL", "Labour", "Store"]

"""JSON values as SQLite's file keeps them: with a check at their end, so that a changed byte is noticed where the value is read.

The check is the CRC-32 in blanks (a space is a 0, a tab a 1), which JSON allows there: any reader of JSON reads the value as ever. Values
from before the checks have none. Knows no tables.
"""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

from boxwise.errors import StudyError

_BLANKS = " \t"
_IN_BLANKS = str.maketrans("01", _BLANKS)


def dumps(value: Any) -> str:
    """JSON with its check. Null has none, as a changed byte leaves no JSON of it; SQLite keeps bare numbers as numbers, without."""
    text = json.dumps(value)
    return text if value is None else text + _check(text)


def loads(text: str | float) -> Any:
    """What `dumps` was given. Raises StudyError where the text is not what it wrote."""
    if text == "null" or not isinstance(text, str):
        return None if text == "null" else text
    body = text.rstrip(_BLANKS)
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if (value is None and body != "null") or body != body.strip() or text[len(body) :] not in ("", _check(body)):
        raise StudyError("values in the study's database are not what was stored; it is damaged. See `boxwise repair STUDY`.")
    return value


def _check(text: str) -> str:
    return f"{crc32(text.encode()):032b}".translate(_IN_BLANKS)

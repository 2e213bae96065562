"""Models of Hugging Face's packages, from the hub or a folder, with all their tensors; what fails on the way is one message.

Returns models. Imports none of these packages.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boxwise.errors import BoxwiseError, plural


@contextmanager
def loading(what: str, kind: str, *, ways_out: str) -> Iterator[None]:
    """An error while weights are loaded is a BoxwiseError: `{what}: cannot be loaded as a {kind} ({first line}). {ways_out}`.

    what: the key with its value, or the name or folder alone. ways_out: sentences on what can be given instead.
    """
    try:
        yield
    except Exception as error:  # the hub's client, the network and the file readers have errors of their own
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise BoxwiseError(f"{what}: cannot be loaded as a {kind} ({reason}). {ways_out}") from None


def whole(kind: Any, weights: str | Path, **options: Any) -> Any:
    """The model of the class `kind` with the weights there. ValueError where some are missing, which the package would draw at random."""
    model, loading = kind.from_pretrained(weights, output_loading_info=True, **options)
    if missing := loading["missing_keys"]:
        raise ValueError(f"it lacks {plural(len(missing), 'tensor')}, such as {min(missing)}")
    return model

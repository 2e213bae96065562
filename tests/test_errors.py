"""The words of messages."""

import errno

import pytest

from boxwise.cli import _explained
from boxwise.errors import NO_SPACE, plural


@pytest.mark.parametrize(
    ("amount", "words", "said"),
    [
        (1, ("image", "is"), "1 image is"),
        (3, ("image", "is"), "3 images are"),
        (0, ("box",), "0 boxes"),
        (None, ("box",), "? boxes"),
        (1, ("class", "was"), "1 class was"),
        (2, ("class", "has"), "2 classes have"),
        (2, ("person",), "2 people"),
        (1, ("image", "still waits"), "1 image still waits"),
        (2, ("image", "still waits"), "2 images still wait"),
    ],
)
def test_amounts_agree_with_their_nouns_and_verbs(amount, words, said):
    assert plural(amount, *words) == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EROFS, "Read-only file system", "study/run.log"), "study/run.log: Read-only file system."),
        (PermissionError(errno.EACCES, "Permission denied", "study/.lock"), "study/.lock: Permission denied."),
        (OSError(errno.ENOSPC, "No space left on device", "run.log"), f"run.log: {NO_SPACE}"),
        (OSError("of our own making"), None),
    ],
)
def test_what_the_system_refuses_of_a_file_is_one_sentence(error, said):
    assert _explained(error) == said

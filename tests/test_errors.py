"""The words of messages."""

import pytest

from boxwise.errors import plural


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

"""The words of messages."""

import errno
import os
import re
import shlex
from pathlib import Path

import pytest

import boxwise
from boxwise.cli import _explained
from boxwise.errors import NO_SPACE, listed, plural, quoted


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
    ("names", "most", "said"),
    [
        ("", 3, ""),
        ("abc", 3, "a, b, c"),
        ("abcd", 3, "a, b, c and 1 more"),
        (range(7), 1, "0 and 6 more"),
        ({"a": 1, "b": 2}, 1, "a and 1 more"),
    ],
)
def test_of_many_names_the_first_are_listed_and_how_many_more_there_are(names, most, said):
    assert listed(names, most) == said


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


@pytest.mark.skipif(os.name == "nt", reason="quotes of other shells")
def test_a_path_in_a_command_is_one_word_and_an_ordinary_one_as_it_is():
    for name in ("runs/study", "../a-b_c.d", "my study", "a'b", "#1", ""):
        assert shlex.split(f"boxwise run {quoted(Path(name) if name else name)}", comments=True) == ["boxwise", "run", name]
    assert quoted("runs/study") == "runs/study"


def test_no_command_is_printed_with_a_bare_path():
    bare = re.compile(r"boxwise (?:cvat |labelstudio )?[a-z-]+ \{(?!quoted\()[a-z_.]*(?:folder|study|path|out|data)\}")
    files = sorted(Path(boxwise.__file__).parent.rglob("*.py"))
    assert len(files) > 100 and bare.search("boxwise run {study.folder}")
    assert not [f"{path}: {found}" for path in files for found in bare.findall(path.read_text(encoding="utf-8"))]

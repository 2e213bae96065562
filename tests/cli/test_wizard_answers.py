"""What `boxwise init` takes as an answer on a terminal, and what it asks again; `test_wizard.py` sees it on a real one."""

import io
import os
import shlex
import tarfile

import pytest
from PIL import Image

from boxwise.cli.wizard import Answers, class_names, completed
from boxwise.errors import ConfigError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="paths are written as POSIX shells do")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder: pictures in one with a blank in its name, in a tar file and in a list, a folder without any, and a home."""
    for name in ("my pictures", "empty"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "my pictures/a.png")
    with tarfile.open(tmp_path / "pics.tar", "w") as shard:
        shard.add(tmp_path / "my pictures/a.png", "a.png")
    (tmp_path / "list.txt").write_text("my pictures/a.png\n")
    (tmp_path / "labels.json").write_text('{"images": [], "categories": [], "annotations": []}')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def asked(monkeypatch):
    """`asked(given, *answers)` → (the answers as they were understood, what was shown); words: those of the command line."""

    def run(given, *answers, words=("study",), overrides=(), format_name=None):
        screen = Terminal()
        monkeypatch.setattr("sys.argv", ["boxwise", "init", *words])
        monkeypatch.setattr("sys.stdin", Terminal("".join(f"{answer}\n" for answer in answers)))
        monkeypatch.setattr("sys.stdout", screen)
        return completed(given, overrides=overrides, config=None, format_name=format_name), screen.getvalue()

    return run


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("my pictures", "my pictures"),
        ("'{}/my pictures'", "{}/my pictures"),
        ('"{}/my pictures" ', "{}/my pictures"),
        ("{}/my\\ pictures", "{}/my pictures"),
        ("file://{}/my%20pictures", "{}/my pictures"),
        ("~/my pictures", "{}/my pictures"),
        ("pics.tar", "tar://::pics.tar"),
        ("list.txt", "list.txt"),
    ],
)
def test_images_are_taken_as_the_option_takes_them_and_as_terminals_paste_them(folder, asked, said, meant):
    labels = [] if said == "list.txt" else [""]  # which go without a list
    answers, _ = asked(Answers(), said.format(folder), *labels, "cat", "", "")
    assert answers.images == meant.format(folder) and answers.classes == "cat"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (" ", "Folder of images: Folder of images: "),
        ("empty", "empty: expected a folder with images, found none."),
        ("my pictures/a.png", "expected a folder, a tar file or a list of images, found another file."),
        ("none.tar", "none.tar: expected a folder, a tar file or a list of images, found nothing."),
        ("'my pictures", "found nothing"),
        ("~nobody-of-that-name/pictures", "found nothing"),
        ("s4://bucket/photos", "Unknown scheme 's4'"),
    ],
)
def test_images_that_are_none_are_asked_for_again_at_once(folder, asked, said, why):
    answers, shown = asked(Answers(), said, "my pictures", "", "cat", "", "")
    assert answers.images == "my pictures" and why in shown


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("my pictures/a.png", "a.png: expected a folder, or a file of COCO"),
        ("empty", "no labels of the study's images were found. Known formats: voc"),
        ("nowhere", "nowhere: expected labels, found no such file or folder."),
    ],
)
def test_labels_that_are_none_are_asked_for_again_at_once(folder, asked, said, why):
    answers, shown = asked(Answers(images="my pictures"), said, "'labels.json'", "", "")
    assert str(answers.labels) == "labels.json" and answers.classes is None and why in shown


def test_labels_of_a_format_that_is_named_are_not_looked_into(folder, asked):
    answers, _ = asked(Answers(images="my pictures"), "empty", "", "", format_name="kitti")
    assert str(answers.labels) == "empty"


def test_a_first_batch_of_no_image_is_refused_unless_there_are_labels(folder, asked):
    given = Answers(images="my pictures")
    answers, shown = asked(given, "", "cat", "", "0", "0%", "²", "7")
    assert answers.settings == ("budget.initial=7",) and shown.count("expected 1 or more: there would be nothing to train on") == 2
    answers, _ = asked(given, "labels.json", "", "0")
    assert answers.settings == ("budget.initial=0",)


@pytest.mark.parametrize("override", ["budget.initial=7", "budget={initial: 7}"])
def test_the_command_without_questions_is_the_one_that_was_given_with_the_answers(folder, asked, override):
    words = ["--ask", "trust", "detector.pretrained=false", override, "--", "study"]
    answers, shown = asked(Answers(), "my pictures", "", "x, 猫", "none", words=words, overrides=words[2:4])
    assert "Images to label first" not in shown and not answers.settings
    assert shlex.split(shown.splitlines()[-1]) == ["boxwise", "init", "--images", "my pictures", "--classes", "x,猫", *words]


def test_class_names_are_lines_of_any_script():
    assert class_names("stop sign, a/b, 猫, Größe") == ("stop sign", "a/b", "猫", "Größe")
    for said in ("Gr\udcf6\udcdfe", "a\tb", "a\u2028b", "a,,b", "a,a", ""):
        with pytest.raises(ConfigError, match="name"):
            class_names(said)


def test_a_mistake_in_a_setting_is_said_before_anything_is_asked(folder, asked):
    with pytest.raises(ConfigError, match=r"Unknown key 'budget\.initail'"):
        asked(Answers(), overrides=("budget.initail=3",))

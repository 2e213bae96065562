"""A study that lives, through the command line, in SQLite and in PostgreSQL: it grows, is corrected, moves."""

import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from boxwise.data.digits import make_digits
from boxwise.data.images import write_image
from boxwise.errors import StudyError
from boxwise.records import Phase, Split
from boxwise.store import Journal
from boxwise.study import Study

SETTINGS = ("budget.initial=4", "budget.validation=0", "detector.name=tiny_ssd", "detector.pretrained=false")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Images of digits, the last of which are new to a study."""
    folder = tmp_path_factory.mktemp("scenes")
    make_digits(folder, seed=3, images=16, imgsz=48)
    return sorted((folder / "JPEGImages").glob("*.png"))


@pytest.fixture(params=["sqlite", "postgresql"])
def study(request, boxwise, scenes, tmp_path):
    """A study of ten images in a folder beside it that waits for labels."""
    (tmp_path / "images").mkdir()
    for path in scenes[:10]:
        shutil.copyfile(path, tmp_path / "images" / path.name)
    store = [f"store={request.getfixturevalue('empty_postgres')}"] if request.param == "postgresql" else []
    folder = tmp_path / "study"
    code, _, err = boxwise("init", folder, "--images", tmp_path / "images", "--classes", "cat,dog", *SETTINGS, *store)
    assert code == 0, err
    assert boxwise("run", folder)[0] == 0
    return folder


def labelled(folder):
    """Give every image that is asked for one box; their ids."""
    study = Study.open(folder)
    from boxwise.records import Action, Verdict

    ids = study.ask().image_ids
    for image_id in ids:
        study.tell(image_id, [Verdict(Action.ADD, xyxy=(1, 2, 9, 8), label=1)], annotator="ann", seconds=3.0)
    study.store.close()
    return ids


class TestGrowing:
    def test_new_files_are_noticed_and_join(self, study, boxwise, scenes):
        images = study.parent / "images"
        for path in scenes[10:13]:
            shutil.copyfile(path, images / path.name)
        shutil.copyfile(scenes[0], images / "copy.png")
        (images / "broken.png").write_bytes(scenes[0].read_bytes()[:200])
        for verb in ("status", "query", "run"):
            _, _, err = boxwise(verb, study)
            assert "5 image files are not in the study" in err and f"boxwise add {study} --images" in err
        code, out, err = boxwise("add", study, "--images", images, "--by", "ann")
        assert code == 0 and "3 images joined, 0 of them labelled; 10 were in the study already." in out
        assert "broken.png" in err and "copy.png" in err
        assert "not in the study" not in boxwise("status", study)[2]
        assert "13 images in the pool" in boxwise("status", study)[1]
        code, out, _ = boxwise("add", study, "--images", images)
        assert code == 0 and "0 images joined" in out
        assert "added by ann, round 0" in boxwise("history", study, scenes[11].name)[1]

    def test_twice_at_once_the_second_finds_them_in_the_study(self, study, boxwise, scenes, monkeypatch):
        images = study.parent / "images"
        for path in scenes[10:13]:
            shutil.copyfile(path, images / path.name)
        add, others = Journal.add, []

        def beside_another(journal, *given, **how):  # who has looked when the study had none of the images
            if not others:
                others.append("")
                others.append(boxwise("add", study, "--images", images)[1])
            return add(journal, *given, **how)

        monkeypatch.setattr(Journal, "add", beside_another)
        code, out, err = boxwise("add", study, "--images", images)
        assert code == 0 and "0 images joined, 0 of them labelled; 13 were in the study already" in out, err
        assert "3 images joined" in others[1]

    def test_copies_and_taken_names_from_elsewhere_do_not_join(self, study, boxwise, scenes, tmp_path):
        other = tmp_path / "other"
        other.mkdir()
        shutil.copyfile(scenes[2], other / "again.png")
        shutil.copyfile(scenes[12], other / scenes[3].name)
        code, out, err = boxwise("add", study, "--images", other)
        assert code == 0 and "0 images joined" in out
        assert f"again.png: expected a new image, found a copy of {scenes[2].name}" in err
        assert f"the study has another image called {scenes[3].name}" in err

    def test_labels_that_come_along_count_and_unknown_classes_are_named(self, study, boxwise, scenes, tmp_path):
        new = tmp_path / "new"
        (new / "images").mkdir(parents=True)
        (new / "labels").mkdir()
        for number, path in enumerate(scenes[10:12]):
            shutil.copyfile(path, new / "images" / path.name)
            (new / "labels" / f"{path.stem}.txt").write_text(f"{number} 0.5 0.5 0.25 0.25\n")
        (new / "data.yaml").write_text("names: [cat, bird]\ntrain: images\n")
        code, out, err = boxwise("add", study, "--labels", new)
        assert code == 0 and "1 image joined, 1 of them labelled" in out and "bird" in err
        (new / "data.yaml").write_text("names: [cat, dog]\ntrain: images\n")
        code, out, err = boxwise("add", study, "--labels", new)
        assert code == 0 and "1 image joined, 1 of them labelled; 1 were in the study already" in out, err
        assert not Study.open(study).quarantined()
        annotations = Study.open(study).annotations(Split.TRAIN)
        assert sorted(int(a.boxes.labels[0]) for a in annotations.values()) == [0, 1]


class TestCorrecting:
    def test_labels_are_taken_back_and_asked_for_again(self, study, boxwise):
        first, *rest = labelled(study)
        assert "waits for labels" not in boxwise("status", study)[1]
        code, out, _ = boxwise("unlabel", study, first, "--by", "lead")
        assert code == 0 and f"1 image is unlabelled now: {first}" in out
        assert f"Round 0 waits for labels of 1 image: {first}" in boxwise("status", study)[1]
        code, out, _ = boxwise("history", study, first)
        assert "labelled by ann, round 0: 1 dog, complete, not counted" in out and "unlabelled by lead" in out and "Now: no labels." in out
        opened = Study.open(study)
        assert opened.seconds(Split.TRAIN) == 3.0 * (1 + len(rest))  # the time is spent
        assert "none had labels" in boxwise("unlabel", study, first)[1]

    def test_of_val_only_what_no_open_round_asks_about_is_never_asked_about(self, boxwise, scenes, tmp_path):
        (tmp_path / "images").mkdir()
        for path in scenes[:10]:
            shutil.copyfile(path, tmp_path / "images" / path.name)
        folder = tmp_path / "study"
        settings = [setting for setting in SETTINGS if "validation" not in setting]
        code, _, err = boxwise("init", folder, "--images", tmp_path / "images", "--classes", "cat,dog", *settings, "budget.validation=2")
        assert code == 0 and boxwise("run", folder)[0] == 0, err
        asked = Study.open(folder).asked(0)
        labelled(folder)
        image_id = next(name for name, item in asked.items() if item.split is Split.VAL)
        code, out, err = boxwise("unlabel", folder, image_id)
        assert code == 0 and "1 image is unlabelled now" in out and "never asked about" not in err
        assert f"Round 0 waits for labels of 1 image: {image_id}" in boxwise("status", folder)[1]
        opened = Study.open(folder)
        opened.tell(image_id, [], annotator="ann", seconds=1.0)
        opened.store.commit(0, Phase.ANNOTATE, {}, then=(0, Phase.AUDIT))
        opened.store.close()
        assert f"1 image ({image_id}): of val or test, so never asked about" in boxwise("unlabel", folder, image_id)[2]

    def test_images_go_out_of_use_and_come_back_with_their_labels(self, study, boxwise):
        first, second, *_ = labelled(study)
        code, out, _ = boxwise("exclude", study, first, second, "--reason", "too dark", "--by", "lead")
        assert code == 0 and "2 images are out of use now" in out
        code, out, _ = boxwise("doctor", study)
        assert code == 1 and f"{first}: excluded by lead: too dark" in out
        assert "all were so already" in boxwise("exclude", study, first)[1]
        assert "kept for labels that no person gave" in boxwise("exclude", study, first, "--by", "model")[2]
        assert first not in Study.open(study).annotations(Split.TRAIN)
        assert "1 image is in use again" in boxwise("include", study, first)[1]
        assert first in Study.open(study).annotations(Split.TRAIN)
        _, out, _ = boxwise("history", study, first)
        assert "excluded by lead: too dark, round 0" in out and "included by" in out and "Now: 1 dog." in out

    def test_a_flag_from_the_page_is_undone_and_a_broken_file_is_not(self, study, boxwise):
        opened = Study.open(study)
        flagged, broken = (record.image_id for record in opened.images()[:2])
        opened.quarantine(flagged, "flagged by ann: blurred")
        opened.quarantine(broken, "truncated.")
        path = Path(opened.record(broken).uri)
        content = path.read_bytes()
        path.write_bytes(b"no image")
        assert boxwise("include", study, flagged)[0] == 0
        code, _, err = boxwise("include", study, broken)
        assert code == 2 and f"{broken} cannot be used" in err and "Traceback" not in err
        path.write_bytes(content)
        assert boxwise("include", study, broken)[0] == 0 and not Study.open(study).quarantined()
        for image_id, why in ((flagged, "flagged by ann: blurred"), (broken, "truncated")):
            out = boxwise("history", study, image_id)[1]
            assert f"  {why}, round 0\n" in out and out.index(why) < out.index("included by")

    def test_many_images_are_named_by_patterns_and_lists(self, study, boxwise, scenes, tmp_path):
        names = [path.name for path in scenes[:10]]
        (tmp_path / "list.txt").write_text(f"{names[3]}\n\n{names[4]}\n")
        code, out, err = boxwise("exclude", study, "scene_000[02]_*", names[1], "--list", tmp_path / "list.txt")
        assert code == 0 and f"5 images are out of use now: {', '.join(names[i] for i in (0, 2, 1, 3, 4))}" in out, err
        assert "2 images are in use again" in boxwise("include", study, "--list", tmp_path / "list.txt")[1]
        assert "3 images are in use again" in boxwise("include", study, "*")[1]
        labelled(study)
        assert "4 images are unlabelled now" in boxwise("unlabel", study, "*.png")[1]
        code, _, err = boxwise("unlabel", study, "photo_*.png")
        assert code == 2 and "'photo_*.png' fits no image; they are called like " in err
        code, _, err = boxwise("unlabel", study)
        assert code == 2 and "no image is named. Give names, patterns" in err
        code, _, err = boxwise("exclude", study, "--list", tmp_path / "none.txt")
        assert code == 2 and "none.txt: expected a list of images" in err

    def test_brackets_in_a_name_are_no_pattern_where_an_image_is_called_so(self, study, boxwise, scenes, tmp_path):
        for name in ("in/photo 1.png", "in/photo [1].png"):
            write_image(np.full((48, 48, 3), len(name) * 5, np.uint8), tmp_path / name)
        assert "2 images joined" in boxwise("add", study, "--images", tmp_path / "in")[1]
        assert "out of use now: photo [1].png." in boxwise("exclude", study, "in/photo [1].png")[1]
        assert "in use again: photo [1].png." in boxwise("include", study, "photo [1].png")[1]
        (tmp_path / "list.txt").write_text("in/photo [1].png\n")
        assert "out of use now: photo [1].png." in boxwise("exclude", study, "--list", tmp_path / "list.txt")[1]
        assert "out of use now: photo 1.png." in boxwise("exclude", study, "photo [12].png")[1]
        (tmp_path / "list.txt").write_text("photo*.png\n")
        code, _, err = boxwise("include", study, "--list", tmp_path / "list.txt")
        assert code == 2 and "no image 'photo*.png'" in err, err

    def test_images_are_found_by_the_end_of_their_name(self, study, boxwise, scenes):
        code, out, _ = boxwise("history", study, f"C:\\photos\\{scenes[0].name}")
        assert code == 0 and out.startswith(f"{scenes[0].name}: train")
        code, _, err = boxwise("exclude", study, "scene_000.png")
        assert code == 2 and "Did you mean 'scene_00" in err


class TestFiles:
    def test_a_moved_folder_is_named_and_nothing_is_quarantined(self, study, boxwise):
        labelled(study)
        images, moved = study.parent / "images", study.parent / "moved here"
        images.rename(moved)
        code, _, err = boxwise("run", study)
        assert code == 2 and f"{images}/scene_" in err and "10 images are missing" in err and "boxwise relocate" in err
        code, _, err = boxwise("query", study)
        assert code == 0 and "Missing: 10 image files" in err
        code, out, _ = boxwise("doctor", study)
        assert code == 1 and "0 images quarantined, 10 missing" in out
        assert not Study.open(study).quarantined()
        code, _, err = boxwise("relocate", study, "--images", study)
        assert code == 2 and "none of the study's 10 images is there" in err
        code, out, _ = boxwise("relocate", study, "--images", moved)
        assert code == 0 and f"10 images are found in {moved} now." in out
        code, _, err = boxwise("status", study)
        assert code == 0 and not err
        assert len(Study.open(study).annotations(Split.TRAIN)) == 4

    def test_a_renamed_file_is_found_by_its_content(self, study, boxwise):
        ids, images = labelled(study), study.parent / "images"
        first, second = (images / name for name in ids[:2])
        first.rename(images / "another name.png")
        second.rename(images / "one.png")
        shutil.copyfile(images / "one.png", images / "two.png")  # which of them is it?
        _, _, err = boxwise("add", study, "--images", images)
        assert f"another name.png: is {ids[0]} under another name. To say so: boxwise relocate {study} --images DIR" in err
        code, out, err = boxwise("relocate", study, "--images", images)
        assert code == 0 and f"9 images are found in {images} now." in out
        assert f"1 found under another name: {ids[0]} is {images / 'another name.png'}." in out
        assert f"1 image ({ids[1]}): not in {images}" in err
        opened = Study.open(study)
        assert opened.record(ids[0]).uri == str(images / "another name.png") and ids[0] in opened.annotations(Split.TRAIN)
        assert str(images / "another name.png") not in boxwise("doctor", study)[1]
        code, out, err = boxwise("add", study, "--images", images)
        assert code == 0 and "another name.png" not in err and "0 images joined, 0 of them labelled; 9 were in the study" in out, out + err
        moved = images.rename(study.parent / "moved here")  # and its new name is known from then on
        assert "9 images are found" in boxwise("relocate", study, "--images", moved)[1]

    def test_a_file_that_is_known_to_be_unfit_is_known_in_its_new_place(self, study, boxwise):
        images, moved = study.parent / "images", study.parent / "moved here"
        shutil.copy(next(images.glob("scene_*")), images / "copy.jpg")
        assert "copy.jpg" in boxwise("add", study, "--images", images)[2] and not boxwise("status", study)[2]
        images.rename(moved)
        assert boxwise("relocate", study, "--images", moved)[0] == 0
        assert not boxwise("status", study)[2]

    def test_an_image_that_is_asked_for_and_gone_is_named_not_the_target(self, study, boxwise, tmp_path):
        opened = Study.open(study)
        path = Path(opened.record(opened.ask().image_ids[0]).uri)
        path.unlink()
        code, _, err = boxwise("query", study, "--out", tmp_path / "to_label")
        assert code == 2 and err.startswith(f"Error: {path}: expected the image") and "to_label" not in err

    def test_what_went_bad_in_a_move_comes_back(self, study, boxwise):
        opened = Study.open(study)
        first = opened.images()[0]
        opened.quarantine(first.image_id, f"{first.uri}: no such file")
        opened.exclude([opened.images()[1].image_id], "dark", who="lead")
        moved = shutil.move(study.parent / "images", study.parent / "moved")
        code, out, _ = boxwise("relocate", study, "--images", moved)
        assert code == 0 and "1 of them are in use again" in out
        assert list(Study.open(study).quarantined().values()) == ["excluded by lead: dark"]

    def test_other_content_under_the_same_name_is_noticed(self, study, boxwise, scenes):
        images = study.parent / "images"
        shutil.copyfile(scenes[14], images / scenes[1].name)
        shutil.copyfile(scenes[2], images / scenes[2].name)  # written again, the same
        code, _, err = boxwise("status", study)
        assert code == 0 and f"Of other content than when it joined: 1 image file ({images / scenes[1].name})" in err
        code, out, _ = boxwise("doctor", study)
        assert code == 1 and f"{scenes[1].name}: changed" in out
        code, _, err = boxwise("relocate", study, "--images", images)
        assert code == 0 and f"1 image ({scenes[1].name}): other content" in err
        assert boxwise("relocate", study, "--images", images, "--changed")[0] == 0
        assert boxwise("doctor", study)[0] == 0

    def test_other_content_is_not_taken_under_labels_that_would_lie_outside(self, study, boxwise, tmp_path):
        first, second, *_ = labelled(study)
        images = study.parent / "images"
        for name, size in ((first, 6), (second, 24)):
            write_image(np.zeros((size, size, 3), np.uint8), images / name)
        code, _, err = boxwise("export", study, tmp_path / "out.json")
        assert code == 0 and "Of other content than when it joined: 2 image files" in err
        code, out, err = boxwise("relocate", study, "--images", images, "--changed", "--by", "lead")
        assert code == 0 and "9 images are found" in out
        assert f"1 image ({first}): another size" in err and f"boxwise unlabel {study} {first}" in err
        assert f"1 image ({second}): other content now, and labels from before" in err
        assert "file changed by lead: other content, 24 x 24 pixels instead of 48 x 48, round 0" in boxwise("history", study, second)[1]
        assert Study.open(study).record(first).width == 48 and "file changed" not in boxwise("history", study, first)[1]
        assert boxwise("unlabel", study, first)[0] == 0
        code, out, err = boxwise("relocate", study, "--images", images, "--changed")
        assert code == 0 and "10 images are found" in out and not err and Study.open(study).record(first).width == 6
        (images / first).unlink()  # which is not written
        (images / second).unlink()
        assert "Missing: 1 image file" in boxwise("export", study, tmp_path / "out.json")[2]

    def test_it_is_shown_how_many_files_were_looked_at(self, study, boxwise, monkeypatch):
        shown = []
        monkeypatch.setattr("boxwise.cli.console._count", lambda *said: shown.append(said))
        for command in (("doctor", study), ("relocate", study, "--images", study.parent / "images"), ("run", study)):
            assert boxwise(*command)[0] == 0
        assert shown == [("reading images", 10, 10)] * 2  # where they are is looked up in no time
        monkeypatch.setattr("boxwise.cli.console._WORTH_A_WORD", 10)
        assert boxwise("run", study)[0] == 0 and shown[2:] == [("looking at images", 10, 10)]


class TestNaming:
    """Images are called by their ids, by the ends of these, or by more of a path than the id has."""

    @pytest.fixture
    def cameras(self, boxwise, scenes, tmp_path):
        """A study of eight images in folders, two of them of one name."""
        for number, path in enumerate(scenes[:8]):
            target = tmp_path / "images" / f"cam{number % 2}/{number // 2 if number < 2 else number}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        assert boxwise("init", tmp_path / "study", "--images", tmp_path / "images", "--classes", "cat,dog", *SETTINGS)[0] == 0
        return Study.open(tmp_path / "study")

    def test_many_names_take_one_look_at_the_ids(self, cameras, monkeypatch):
        looks, names = [], {"2.png": "cam0/2.png", "images\\cam1\\3.png": "cam1/3.png", "cam0/0.png": "cam0/0.png", "./4.png": "cam0/4.png"}
        all_ids = cameras.store.image_ids
        monkeypatch.setattr(cameras.store, "image_ids", lambda: looks.append(1) or all_ids())
        assert cameras.images_named([*names, "2.png"]) == [*names.values(), "cam0/2.png"] and len(looks) == 1
        assert cameras.images_named(["cam0/0.png", "cam1/3.png"]) == ["cam0/0.png", "cam1/3.png"] and len(looks) == 1
        assert cameras.images_named([]) == [] and len(looks) == 1

    @pytest.mark.parametrize(("name", "said"), [
        ("0.png", "'0.png' fits 2 images of the study: cam0/0.png, cam1/0.png"), ("cam0/22.png", "Did you mean 'cam0/2.png'"),
        ("", "has no image ''"), ("am0/2.png", "has no image 'am0/2.png'"),
    ])  # fmt: skip
    def test_a_name_that_fits_none_or_several_is_refused(self, cameras, name, said):
        with pytest.raises(StudyError, match=re.escape(said)):
            cameras.images_named(["2.png", name])

    def test_the_verbs_take_many(self, cameras, boxwise):
        code, out, _ = boxwise("exclude", cameras.folder, "2.png", "4.png", "cam1/3.png")
        assert code == 0 and "3 images are out of use now: cam0/2.png, cam0/4.png, cam1/3.png." in out
        assert "2 images are in use again: cam0/4.png, cam0/2.png." in boxwise("include", cameras.folder, "4.png", "2.png")[1]


def test_a_study_that_ended_for_want_of_images_goes_on_with_new_ones(boxwise, scenes, tmp_path):
    (tmp_path / "images").mkdir()
    for path in scenes[:5]:
        shutil.copyfile(path, tmp_path / "images" / path.name)
    boxwise("init", tmp_path / "study", "--images", tmp_path / "images", "--classes", "cat,dog", *SETTINGS)
    study = Study.open(tmp_path / "study")
    for phase, following in pairwise((Phase.SELECT, Phase.ANNOTATE, Phase.COMPOSE, Phase.TRAIN, Phase.EVALUATE, Phase.SCORE)):
        study.store.commit(0, phase, {}, then=(0, following))
    study.store.commit(0, Phase.SCORE, {"ended": "every image of the pool is labelled"}, then=(0, Phase.DONE))
    shutil.copyfile(scenes[9], tmp_path / "images" / "new.png")
    assert boxwise("add", tmp_path / "study", "--images", tmp_path / "images")[0] == 0
    assert study.position == (0, Phase.SCORE)

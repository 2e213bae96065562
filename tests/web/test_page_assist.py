"""Models that run beside the page's server: boxes follow by embeddings, and a click becomes what SAM 2 sees."""

import sys
from time import monotonic

import numpy as np
import pytest
from driving import boxes_in_list, drag, hand_in, record_of, seen, serving, shown_image, spot

from boxwise.boxes import Boxes
from boxwise.cli import main
from boxwise.config import LabellingConfig, load_config
from boxwise.errors import BoxwiseError
from boxwise.records import Split
from boxwise.study import Study
from boxwise.web.assistant import Assistant
from boxwise.web.assistant_process import Models


def helped_by(study, **how):
    study.change(study.config.model_copy(update={"labelling": LabellingConfig(**how)}))
    return study


@pytest.fixture
def sam2():
    """The folder of a small random SAM 2."""
    pytest.importorskip("transformers", reason="install the extra [hf]")
    from small_transformers import small_sam2

    return small_sam2()


@pytest.fixture
def assistant_of():
    """A function from a study to its models' process, which ends with the test."""
    made = []

    def make(study):
        made.append(Assistant(study.folder))
        return made[-1]

    yield make
    for assistant in made:
        assistant.close()


class TestFollowing:
    def test_boxes_go_where_the_detectors_embedding_finds_them(self, waiting_study, person):
        study = waiting_study("full")
        names, models = study.ask().image_ids, Models(study.folder)
        drawn = Boxes(np.array([[20, 20, 60, 60]], np.float32), np.array([0]))

        def found_of(label):
            """How many images the detector finds anything of the class on, within reach of the box."""
            return sum(bool(models.answer(self.request(names[0], drawn, label, name))) for name in names[1:])

        label = max(range(len(study.classes)), key=found_of)
        with serving(study) as port:
            page = person(port, "anna")
            first = shown_image(page)
            page.keyboard.press(str(label + 1))
            drag(page, record_of(study, first), (20, 20), (60, 60))
            hand_in(page)
            seen(page)
            expected = models.answer(self.request(first, study.annotation(first).boxes, label, shown_image(page)))
            page.keyboard.press("Shift+m")
            page.locator("#hint", has_text=f"{len(expected)} of 1 boxes found again").wait_for(timeout=60_000)
            stored = study.annotation(hand_in(page)).boxes
            assert found_of(label) and stored.labels.tolist() == [label] * len(expected)
            assert np.allclose(stored.xyxy, np.reshape([one["xyxy"] for one in expected], (-1, 4)), atol=0.01)

    @staticmethod
    def request(before, boxes, label, image):
        return {"do": "follow", "before": before, "image": image, "boxes": [{"xyxy": boxes.xyxy[0].tolist(), "label": label}]}

    def test_an_image_of_which_nothing_moved_finds_every_box_itself(self, waiting_study):
        """The same image as its own next one: each detection, as somebody's box, is found where it is."""
        study = waiting_study("full")
        name, models = study.ask().image_ids[0], Models(study.folder)
        detector = models._trained()
        from boxwise.web.assistant_process import _view

        (found,) = detector.detections(_view(detector, study.record(name)))
        boxes = [{"xyxy": xyxy, "label": int(label)} for xyxy, label in zip(found.xyxy[:5].tolist(), found.labels[:5], strict=True)]
        again = models.answer({"do": "follow", "before": name, "image": name, "boxes": boxes})
        assert len(boxes) > 2 and [one["row"] for one in again] == list(range(len(boxes)))
        assert np.allclose([one["xyxy"] for one in again], found.xyxy[:5], atol=1e-3)

    def test_before_the_first_training_it_says_that_it_cannot(self, hidden, tiny_overrides, tmp_path):
        study = Study.create(tmp_path / "study", hidden[1], config=load_config(None, tiny_overrides))
        name = study.images(Split.TRAIN)[0].image_id
        boxes = Boxes(np.array([[1, 1, 9, 9]], np.float32), np.array([0]))
        assert Models(study.folder).answer(self.request(name, boxes, 0, name)) is None


class TestSam2:
    def test_a_click_and_a_rough_box_become_what_it_sees(self, waiting_study, person, sam2):
        study = helped_by(waiting_study("full"), assist="sam2", sam2=str(sam2))
        with serving(study) as port:
            page = person(port, "anna")
            name = shown_image(page)
            record = record_of(study, name)
            page.keyboard.press("w")
            with page.expect_response("**/api/box", timeout=60_000) as first:  # the first one waits for the model
                page.mouse.click(*spot(page, record, 48, 48))
            assert first.value.ok
            page.wait_for_function("() => document.querySelectorAll('#boxes [role=option]').length === 1")
            expected = Models(study.folder).answer({"do": "box", "image": name, "point": [48, 48]})
            started = monotonic()
            with page.expect_response("**/api/box"):  # the image has been looked at: only the prompt is left
                drag(page, record, (5, 5), (40, 30))
            assert monotonic() - started < 3
            stored = study.annotation(hand_in(page)).boxes
            assert np.allclose(stored.xyxy[0], expected["xyxy"], atol=8)  # a click on a screen is no finer than its pixels
            assert boxes_in_list(page).count() == 0

    def test_images_are_looked_at_before_anybody_clicks(self, waiting_study, sam2, assistant_of):
        study = helped_by(waiting_study("full"), assist="sam2", sam2=str(sam2))
        names = study.ask().image_ids[:2]
        assistant = assistant_of(study)
        for name in names:
            assistant.prepare({"do": "embed", "image": name})
        assistant.ask({"do": "box", "image": names[0], "point": [40, 40]})  # waits for the process to be there
        started = monotonic()
        found = [assistant.ask({"do": "box", "image": name, "point": [40, 40]}) for name in names]
        assert monotonic() - started < 2 and any(found) and all(one is None or 0 < one["score"] < 1 for one in found)
        assistant.close()
        assert assistant.ask({"do": "box", "image": names[0], "point": [40, 40]}) == found[0]

    def test_a_fault_is_said_and_the_next_request_is_answered(self, waiting_study, sam2, assistant_of):
        study = helped_by(waiting_study("full"), assist="sam2", sam2=str(sam2))
        name = study.ask().image_ids[0]
        assistant = assistant_of(study)
        with pytest.raises(BoxwiseError, match=r"nowhere\.png: no such image"):
            assistant.ask({"do": "box", "image": "nowhere.png", "point": [1, 1]})
        assistant.ask({"do": "box", "image": name, "point": [40, 40]})
        assert assistant._process is not None
        assistant._process.kill()  # as where memory is short
        assistant._process.wait()
        assistant.ask({"do": "box", "image": name, "point": [40, 40]})

    @pytest.mark.parametrize(
        ("how", "missing", "words"),
        [
            ({"assist": "sam2"}, True, "labelling.assist=sam2 needs the package transformers: pip install 'boxwise[hf]'"),
            ({"assist": "sam2", "sam2": "./nowhere"}, False, "labelling.sam2=./nowhere: expected a name at the hub or a folder"),
        ],
    )
    def test_what_is_missing_is_named_before_the_page_starts(self, waiting_study, monkeypatch, capsys, how, missing, words):
        study = helped_by(waiting_study("full"), **how)
        if missing:
            monkeypatch.setitem(sys.modules, "transformers", None)
        else:
            pytest.importorskip("transformers", reason="needs the extra [hf]")
        monkeypatch.setattr(sys, "argv", ["boxwise", "label", str(study.folder), "--no-browser", "--port", "0"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        said = capsys.readouterr()
        assert words in said.err and "Label here" not in said.out + said.err

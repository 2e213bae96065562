"""The parts of the labelling page that know no DOM, run in the browser they are written for."""

import ast
import re
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import boxwise.web
from boxwise.annotation.verdicts import annotation_of
from boxwise.web.requests import VerdictBody

STATIC = Path(boxwise.web.__file__).parent / "static"
Run = Callable[..., Any]


class _Files(SimpleHTTPRequestHandler):
    extensions_map = {".js": "text/javascript", ".html": "text/html"}  # noqa: RUF012

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def page(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An empty page on the server of the static files."""
    root = tmp_path_factory.mktemp("site")
    (root / "empty.html").write_text("<!doctype html><title>empty</title>")
    (root / "static").symlink_to(STATIC)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(root))) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        context = chromium.new_context()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/empty.html")
        yield page
        context.close()
        server.shutdown()


@pytest.fixture
def run(page: Any) -> Run:
    """Runs JavaScript with every module of the page imported by name; `given` is its argument."""

    def running(body: str, given: Any = None) -> Any:
        names = ["boxes", "clock", "geometry", "keys", "dialogs", "panels", "api", "waiting", "finished", "editor", "naming", "view"]
        names += ["dom", "figures"]
        imports = "".join(f"const {name} = await import('/static/{name}.js');" for name in names)
        return page.evaluate(f"async (given) => {{ {imports} {body} }}", given)

    return running


def box(box_id: str, state: str = "uncertain", xyxy: tuple[float, ...] = (10, 10, 50, 40), label: int = 0) -> dict[str, Any]:
    score = None if state == "settled" else 0.6
    return {"id": box_id, "state": state, "question": state == "uncertain", "xyxy": list(xyxy), "label": label, "score": score}


def task(*boxes: dict[str, Any], whole: bool = True, labels: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"width": 200, "height": 100, "whole": whole, "boxes": list(boxes), "labels": labels}


def label(xyxy: tuple[float, ...], name: int = 0, source: str = "human") -> dict[str, Any]:
    return {"xyxy": list(xyxy), "label": name, "source": source, "difficult": False, "crowd": False}


MIXED = task(
    box("c", "certain", (60, 10, 90, 40)), box("u"), box("v", xyxy=(100, 10, 140, 40)), box("settled:0", "settled", (150, 10, 190, 40))
)
START = "const model = new boxes.BoxModel(given);"
ACTS = "model.verdicts().map((verdict) => [verdict.action, verdict.box_id, verdict.xyxy, verdict.label])"


class TestWhatFiguresAreWorth:
    @pytest.mark.parametrize(
        ("known", "said"),
        [
            ({}, None),
            (
                {"images": 2, "command": "boxwise evaluate 'my study'"},
                r"those of 2 images .* changed since\. To judge by those of now: boxwise evaluate 'my study'",
            ),
            ({"images": 2, "lost": [0, 1]}, r".* changed since\. What was detected then is lost, so this stays so: round 0, 1\."),
            ({"before": [0]}, r"Judged while the classes were others, which stays so: round 0\."),
        ],
    )
    def test_what_judges_anew_is_named_only_where_something_can(self, run: Run, known: dict[str, Any], said: str | None):
        body = (
            "const { outdated } = await import('/static/dashboard.outlook.js'); return outdated({ outdated: given })?.textContent ?? null"
        )
        found = run(body, {"images": 0, "lost": [], "before": [], "command": "", **known})
        assert found is None if said is None else re.search(f"{said}$", found)


class TestVerdicts:
    def test_what_was_left_alone_gives_none(self, run: Run):
        assert run(f"{START} return {ACTS}", MIXED) == []

    def test_each_gesture_gives_its_act(self, run: Run):
        gestures = """model.accept("u"); model.place("c", [61, 12, 91, 42]); model.relabel("v", 2); model.remove("settled:0");
            model.draw([5, 50, 25, 80], 1);"""
        assert run(f"{START} {gestures} return {ACTS}", MIXED) == [
            ["move", "c", [61, 12, 91, 42], None],
            ["keep", "u", None, None],
            ["relabel", "v", None, 2],
            ["delete", "settled:0", None, None],
            ["add", "", [5, 50, 25, 80], 1],
        ]

    def test_a_box_moved_and_relabelled_is_one_act(self, run: Run):
        gestures = 'model.relabel("u", 1); model.place("u", [12, 10, 52, 40]);'
        assert run(f"{START} {gestures} return {ACTS}", MIXED) == [["move", "u", [12, 10, 52, 40], 1]]

    def test_a_drawn_box_deleted_again_leaves_nothing(self, run: Run):
        assert run(f"{START} model.remove(model.draw([5, 50, 25, 80], 1)); return {ACTS}", MIXED) == []

    def test_a_rejected_box_can_be_brought_back(self, run: Run):
        gestures = 'model.remove("c"); model.accept("c"); model.remove("u"); model.accept("u");'
        assert run(f"{START} {gestures} return {ACTS}", MIXED) == [["keep", "u", None, None]]

    def test_a_certain_box_marked_hard_is_kept_with_the_mark(self, run: Run):
        verdicts = run(f'{START} model.toggleDifficult("c"); return model.verdicts()', MIXED)
        assert [(verdict["action"], verdict["difficult"]) for verdict in verdicts] == [("keep", True)]

    def test_the_server_takes_them_and_makes_the_annotation(self, run: Run):
        gestures = "model.draw([5, 50, 25, 80], 1, 2.5); model.draw([30, 50, 45, 80], 0, 1.5);"
        verdicts = [VerdictBody(**verdict).verdict() for verdict in run(f"{START} {gestures} return model.verdicts()", task())]
        annotation = annotation_of("image", verdicts)
        assert annotation.boxes.xyxy.tolist() == [[5, 50, 25, 80], [30, 50, 45, 80]]
        assert annotation.boxes.labels.tolist() == [1, 0]
        assert [verdict.seconds for verdict in verdicts] == [2.5, 1.5]

    def test_the_time_of_accepting_all_is_shared_out(self, run: Run):
        verdicts = run(f"{START} model.acceptRest(3); return model.verdicts()", MIXED)
        assert [(verdict["box_id"], verdict["seconds"]) for verdict in verdicts] == [("u", 1.5), ("v", 1.5)]

    def test_the_rest_is_rejected_only_when_asked(self, run: Run):
        assert run(f'{START} model.accept("u"); model.rejectRest(); return {ACTS}', MIXED) == [
            ["keep", "u", None, None],
            ["delete", "v", None, None],
        ]


class TestQuestions:
    def test_walking_goes_round_and_skips_the_answered(self, run: Run):
        walk = """const at = (key, step) => model.nextOpen(key, step)?.key ?? null;
            const before = [at(null, 1), at("u", 1), at("v", 1), at(null, -1)]; model.accept("u");
            const after = [at("u", 1), at("v", 1), at("v", -1)]; model.remove("v"); return [...before, ...after, at("v", 1)];"""
        assert run(START + walk, MIXED) == ["u", "v", "u", "v", "v", "v", "v", None]

    def test_where_only_questions_are_asked_nothing_else_changes(self, run: Run):
        given = {**MIXED, "whole": False}
        refused = """return [model.draw([5, 50, 25, 80], 1), model.remove("c"), model.place("settled:0", [1, 1, 9, 9]), model.accept("u"),
            model.open().length]"""
        assert run(START + refused, given) == [None, False, False, True, 1]

    def test_an_uncertain_box_that_is_not_asked_about_is_no_question(self, run: Run):
        given = task({**box("u"), "question": False}, box("v"), whole=False)
        assert run(f"{START} return model.open().map((open) => open.key)", given) == ["v"]


class TestGeometry:
    def test_boxes_stay_within_the_image(self, run: Run):
        drawn = run(f'{START} model.draw([-20, 90, 30, 300], 0); model.place("u", [150, -9, 999, 50]); return {ACTS}', task(box("u")))
        assert [act[2] for act in drawn] == [[150, 0, 200, 50], [0, 90, 30, 100]]

    @pytest.mark.parametrize("xyxy", [(10, 10, 10.9, 50), (10, 10, 50, 10.5), (-30, 10, 0.5, 50)])
    def test_slips_of_the_hand_make_no_box(self, run: Run, xyxy: tuple[float, ...]):
        assert run("return new boxes.BoxModel(given.task).draw(given.xyxy, 0)", {"task": task(), "xyxy": xyxy}) is None

    def test_shifting_stops_at_the_edge_and_keeps_the_size(self, run: Run):
        shifted = run("return geometry.moved([150, 10, 190, 40], 30, -30, {width: 200, height: 100})")
        assert shifted == [160, 0, 200, 30]

    def test_an_edge_pulled_past_its_opposite_turns_the_box_over(self, run: Run):
        assert run("return geometry.resized([10, 10, 50, 40], [-1, 0], 60, 5)") == [50, 10, 70, 40]

    @pytest.mark.parametrize(
        ("others", "place"),
        [
            ([], [20, 20, 90, 90]),
            ([[20, 20, 90, 90]], [24, 24, 94, 94]),
            ([[20, 20, 90, 90], [25, 25, 95, 95]], [28, 28, 98, 98]),
            ([[20, 20, 90, 90], [25, 25, 95, 95], [27, 27, 97, 97]], [30, 30, 100, 100]),
            ([[20, 20, 90, 90], [25, 25, 95, 95], [29, 29, 99, 99]], [16, 16, 86, 86]),
        ],
    )
    def test_a_free_place_is_the_box_s_own_or_some_steps_beside_it(self, run: Run, others: list[list[int]], place: list[int]):
        assert run("return geometry.freePlace([20, 20, 90, 90], given, 4, {width: 100, height: 100})", others) == place

    def test_where_all_is_taken_there_is_no_free_place(self, run: Run):
        assert run("return geometry.freePlace([0, 0, 99, 100], [[0, 0, 99, 100]], 4, {width: 100, height: 100})") is None

    def test_the_middle_of_a_small_box_is_no_handle(self, run: Run):
        found = run("return [geometry.handleAt([0, 0, 8, 8], 4, 4, 22), geometry.handleAt([0, 0, 8, 8], 12, 12, 22)]")
        assert found == [None, [1, 1]]

    def test_the_smallest_box_under_the_pointer_is_meant(self, run: Run):
        given = task(box("big", xyxy=(0, 0, 100, 100)), box("small", xyxy=(20, 20, 40, 40)))
        assert run(f"{START} return geometry.smallestAt(model.boxes, 30, 30).key", given) == "small"


class TestHistory:
    def test_undo_and_redo_walk_through_every_gesture(self, run: Run):
        walk = f"""model.accept("u"); model.draw([5, 50, 25, 80], 1); model.remove("c");
            const states = [{ACTS}]; while (model.undo()) states.push({ACTS}); while (model.redo()) states.push({ACTS});
            return states.map((acts) => acts.map(([action]) => action).join(" "));"""
        assert run(START + walk, MIXED) == ["delete keep add", "keep add", "keep", "", "keep", "keep add", "delete keep add"]

    def test_a_new_gesture_ends_what_could_be_redone(self, run: Run):
        assert run(f'{START} model.accept("u"); model.undo(); model.accept("v"); return model.canRedo', MIXED) is False

    def test_held_arrow_keys_are_one_step(self, run: Run):
        nudges = """for (const x of [11, 12, 13]) model.place("u", [x, 10, x + 40, 40], 0, { merge: "nudge" });
            model.settle(); model.place("u", [14, 10, 54, 40], 0, { merge: "nudge" });
            const places = []; while (model.undo()) places.push(model.find("u").xyxy[0]); return places;"""
        assert run(START + nudges, MIXED) == [13, 10]

    def test_a_gesture_without_effect_is_no_step(self, run: Run):
        still = 'return [model.relabel("u", 0), model.place("u", [10, 10, 50, 40]), model.accept("nobody"), model.canUndo];'
        assert run(START + still, MIXED) == [False, False, False, False]


class TestDrafts:
    def test_a_draft_brings_everything_back(self, run: Run):
        again = f"""model.accept("u", 1); model.place("c", [61, 12, 91, 42], 2); model.draw([5, 50, 25, 80], 1, 3);
            const draft = JSON.parse(JSON.stringify(model.document())), other = new boxes.BoxModel(given); other.restore(draft);
            const said = {ACTS}; return [said, {ACTS.replace("model", "other")}, other.canUndo];"""
        before, after, can_undo = run(START + again, MIXED)
        assert before == after
        assert len(after) == 3
        assert can_undo is False

    def test_a_draft_that_is_none_changes_nothing(self, run: Run):
        bad = """const drafts = [null, {}, {boxes: 3}, {boxes: [null, {id: "u"}, {id: "u", xyxy: [1, 2, "x", 4], label: 0, answer: ""}]}];
            for (const draft of drafts) model.restore(draft);"""
        assert run(f"{START} {bad} return {ACTS}", MIXED) == []

    def test_boxes_that_are_shown_no_more_are_left_out(self, run: Run):
        again = f"""model.accept("u"); const draft = model.document(); const fewer = {{...given, boxes: given.boxes.slice(2)}};
            const other = new boxes.BoxModel(fewer); other.restore(draft); return {ACTS.replace("model", "other")}"""
        assert run(START + again, MIXED) == []


class TestManyAtOnce:
    def test_a_score_answers_every_open_question_as_one_step(self, run: Run):
        given = task({**box("low"), "score": 0.4}, {**box("high", xyxy=(60, 10, 90, 40)), "score": 0.7}, box("c", "certain"))
        acts = run(f"{START} model.answerBy(0.5, 2); const acts = {ACTS}; model.undo(); return [acts, model.open().length]", given)
        assert acts == [[["delete", "low", None, None], ["keep", "high", None, None]], 2]

    def test_copied_boxes_that_are_there_already_are_left_out(self, run: Run):
        boxes = [{"xyxy": [10, 10, 50, 40], "label": 0}, {"xyxy": [11, 10, 50, 40], "label": 1}, {"xyxy": [150, 50, 300, 90], "label": 0}]
        drawn = run(
            f"{START} return [model.drawAll(given.copies, 4), {ACTS}]".replace("(given)", "(given.task)"),
            {"task": task(box("u")), "copies": boxes},
        )
        assert drawn == [2, [["add", "", [11, 10, 50, 40], 1], ["add", "", [150, 50, 200, 90], 0]]]

    def test_a_history_is_taken_up_again(self, run: Run):
        again = f"""model.draw([5, 50, 25, 80], 1); model.accept("u"); model.draw([30, 50, 45, 80], 0); model.undo();
            const [draft, history] = JSON.parse(JSON.stringify([model.document(), model.history(20)]));
            const other = new boxes.BoxModel(given); other.restore(draft); other.recall(history);
            const said = () => {ACTS.replace("model", "other")}.map(([action]) => action).join(" ");
            const states = [said()]; other.redo(); states.push(said()); while (other.undo()) states.push(said());
            const made = [other.draw([1, 1, 9, 9], 0), other.draw([1, 20, 9, 29], 0)]; return [states, new Set(made).size];"""
        assert run(START + again, task(box("u"))) == [["keep add", "keep add add", "keep add", "add", ""], 2]

    def test_a_history_that_is_none_changes_nothing(self, run: Run):
        bad = "for (const history of [{}, {past: 3, future: []}, {past: [[{}]], future: []}]) model.recall(history);"
        assert run(f"{START} {bad} return model.canUndo", MIXED) is False


class TestReopening:
    def test_the_labels_say_what_was_answered(self, run: Run):
        labels = [
            label((60, 10, 90, 40), source="model"),
            label((12, 12, 52, 42)),
            label((100, 10, 140, 40), name=1),
            label((5, 50, 25, 80), name=2),
        ]
        assert run(f"{START} return {ACTS}", {**MIXED, "labels": labels}) == [
            ["move", "u", [12, 12, 52, 42], None],
            ["relabel", "v", None, 1],
            ["delete", "settled:0", None, None],
            ["add", "", [5, 50, 25, 80], 2],
        ]

    def test_nothing_is_open_on_an_answered_image(self, run: Run):
        assert run(f"{START} return model.open().length", {**MIXED, "labels": []}) == 0

    def test_a_label_of_the_models_own_does_not_become_a_persons(self, run: Run):
        assert run(f"{START} return {ACTS}", task(labels=[label((60, 10, 90, 40), source="model")])) == []


class TestTakingOver:
    SAID = task(box("a"), box("b", xyxy=(100, 10, 140, 40)), box("c", xyxy=(150, 10, 190, 40), label=1), box("d", xyxy=(60, 50, 90, 90)))

    def taken_over(self, run: Run, now: dict[str, Any], name_of: str = "label") -> Any:
        """What is left out of an answer that accepted three boxes and rejected a fourth, where others are shown by now."""
        body = f"""const before = new boxes.BoxModel(given[0]), model = new boxes.BoxModel(given[1]);
            before.remove("d"); before.acceptRest();
            return [model.takeOver(before.document(), (label) => {name_of}), {ACTS}];"""
        return run(body, [self.SAID, now])

    def test_where_only_questions_are_asked_what_is_about_other_boxes_is_counted(self, run: Run):
        missing, acts = self.taken_over(run, task(box("n"), whole=False))
        assert missing == {"gone": 0, "unplaced": 3} and acts == [["keep", "n", None, None]]

    def test_where_objects_may_be_added_the_rest_is_drawn(self, run: Run):
        missing, acts = self.taken_over(run, task(box("n")), "label ? -1 : 2")
        assert missing == {"gone": 1, "unplaced": 0}
        assert acts == [["relabel", "n", None, 2], ["add", "", [100, 10, 140, 40], 2]]

    def test_a_box_outside_of_the_image_is_counted(self, run: Run):
        assert self.taken_over(run, {**task(), "width": 120})[0] == {"gone": 0, "unplaced": 1}

    def test_of_an_answer_without_its_boxes_the_drawn_ones_are_taken_and_the_rest_is_counted(self, run: Run):
        verdicts = [
            {"action": "add", "box_id": "", "xyxy": [5, 50, 25, 80], "label": 1},
            {"action": "keep", "box_id": "a", "xyxy": None, "label": None},
        ]
        body = "const { drawnIn } = await import('/static/reopening.js'); return drawnIn({ verdicts: given, seconds: 3 });"
        found = run(body, verdicts)
        assert [one["xyxy"] for one in found["boxes"]] == [[5, 50, 25, 80]] and found["left_out"] == 1 and found["seconds"] == 3


class TestClock:
    CLOCK = "const clock = new clock_.ActiveClock(given ?? 0);"

    def tell(self, run: Run, body: str, given: float | None = None) -> Any:
        return run(f"const clock_ = clock; {{ {self.CLOCK} {body} }}", given)

    def test_nothing_runs_before_the_first_sign_of_life(self, run: Run):
        assert self.tell(run, "return clock.seconds(60000)") == 0

    def test_looking_between_two_signs_counts(self, run: Run):
        assert self.tell(run, "clock.touch(1000); clock.touch(13000); return clock.seconds(16000)") == 15

    def test_an_absence_counts_twenty_seconds_once(self, run: Run):
        absence = "clock.touch(0); const away = clock.seconds(3600000); clock.touch(3600000); return [away, clock.seconds(3605000)]"
        assert self.tell(run, absence) == [20, 25]

    def test_a_hidden_page_stops_it_at_once(self, run: Run):
        assert self.tell(run, "clock.touch(0); clock.stop(4000); return clock.seconds(15000)") == 4

    def test_an_image_taken_up_again_goes_on(self, run: Run):
        assert self.tell(run, "clock.touch(0); return [clock.seconds(2000), clock.sinceLap(2000)]", 30) == [32, 2]

    def test_a_lap_is_the_time_since_the_last_gesture(self, run: Run):
        laps = "clock.touch(0); const one = clock.sinceLap(3000); clock.lap(3000); return [one, clock.sinceLap(5000)]"
        assert self.tell(run, laps) == [3, 2]


class TestKeys:
    @pytest.mark.parametrize(
        ("event", "action"),
        [
            ({"key": "Tab"}, "next"),
            ({"key": "Tab", "shiftKey": True}, "previous"),
            ({"key": "A", "shiftKey": True}, "acceptRest"),
            ({"key": "N"}, "next"),
            ({"key": " "}, "submit"),
            ({"key": " ", "shiftKey": True}, "submitRejecting"),
            ({"key": "Enter", "ctrlKey": True}, "submit"),
            ({"key": "z", "metaKey": True}, "undo"),
            ({"key": "Z", "ctrlKey": True, "shiftKey": True}, "redo"),
            ({"key": "?", "shiftKey": True}, "help"),
            ({"key": "["}, "back"),
            ({"key": ","}, "back"),
            ({"key": "/", "shiftKey": True}, "palette"),
            ({"key": "q"}, None),
            ({"key": "a", "ctrlKey": True}, None),
        ],
    )
    def test_keys_mean_what_the_map_says(self, run: Run, event: dict[str, Any], action: str | None):
        assert run("return keys.meaning(new KeyboardEvent('keydown', given))?.action ?? null", event) == action

    @pytest.mark.parametrize(
        ("event", "action", "label"),
        [
            ({"key": "ф", "code": "KeyA"}, "accept", None),  # Cyrillic
            ({"key": "Ф", "code": "KeyA", "shiftKey": True}, "acceptRest", None),
            ({"key": "я", "code": "KeyZ", "ctrlKey": True}, "undo", None),
            ({"key": "х", "code": "BracketLeft"}, "back", None),
            ({"key": "&", "code": "Digit1"}, "class", 0),  # AZERTY
            ({"key": "1", "code": "Digit1", "shiftKey": True}, "class", 0),
            ({"key": "a", "code": "KeyQ"}, "accept", None),
            ({"key": "z", "code": "KeyW", "ctrlKey": True}, "undo", None),
            ({"key": "/", "code": "Digit7", "shiftKey": True}, "palette", None),  # German
            ({"key": "[", "code": "Digit8", "modifierAltGraph": True}, "back", None),
            ({"key": "[", "code": "Digit5", "altKey": True}, "class", 13),  # German macOS
            ({"key": "!", "code": "Digit1", "shiftKey": True}, "class", 18),
            ({"key": "1", "code": "Digit1", "altKey": True}, "class", 9),
            ({"key": "¡", "code": "Digit1", "altKey": True}, "class", 9),  # macOS
            ({"key": "3", "code": "Numpad3"}, "class", 2),
        ],
    )
    def test_keyboards_of_all_scripts_work(self, run: Run, event: dict[str, Any], action: str, label: int | None):
        meant = run("return keys.meaning(new KeyboardEvent('keydown', given))", event)
        assert (meant["action"], meant.get("label")) == (action, label)

    def test_arrows_nudge_and_resize(self, run: Run):
        event = {"key": "ArrowUp", "shiftKey": True, "altKey": True}
        assert run("return keys.meaning(new KeyboardEvent('keydown', given))", event) == {
            "action": "nudge",
            "dx": 0,
            "dy": -10,
            "resize": True,
        }

    def test_no_key_means_two_actions(self, run: Run):
        pressed = run("return keys.MAP.flatMap((entry) => entry.keys)")
        assert len(pressed) == len(set(pressed))

    def test_every_action_has_a_button(self, run: Run):
        html = (STATIC / "index.html").read_text(encoding="utf-8")
        actions = set(run("return keys.MAP.map((entry) => entry.action)"))
        # Done by dragging, by the class buttons, by the hint's own button, or of use to keyboards alone.
        without = {action for action in actions if f'data-action="{action}"' not in html}
        assert without == {"nudge", "pan", "class", "submitRejecting", "escape", "leave"}


class TestFinished:
    ONE = """const made = (image_id, count = 1) =>
        ({ kind: "answer", image_id, round: 0, key: image_id, revision: 1, seconds: 1, document: { boxes: Array(count).fill({}) } });
        sessionStorage.clear();"""

    def test_the_work_of_all_is_kept_as_long_as_it_is_not_too_much(self, run: Run):
        many = """const kept = new finished.Finished("few");
            for (let image = 0; image < 60; image++) kept.push(made(`${image}`));
            const large = new finished.Finished("large");
            for (let image = 0; image < 9; image++) large.push(made(`${image}`, 2500));
            return [kept, large].map(({ entries }) => entries.map(({ image_id: name, document }) => [name, Boolean(document)]));"""
        few, large = run(self.ONE + many)
        assert few == [[str(image), True] for image in range(10, 60)]
        assert large == [[str(image), image >= 5] for image in range(9)]

    def test_an_answer_whose_boxes_are_not_kept_is_opened_and_not_taken_back(self, run: Run):
        taken = """const sent = [], opened = [], study = { name: "birds", mode: "full", classes: [] };
            const outbox = { post: (path) => sent.push(path), save: () => {} }, page = { takenBack: () => {} };
            const one = new editor.Editor({ study, annotator: "anna", tab: "1", gestures: {}, outbox, page });
            one.open = (imageId) => opened.push(imageId);
            for (const entry of [{ ...made("a"), document: null }, made("b")]) one.finished.push(entry);
            await one.undoHandIn();
            await one.undoHandIn();
            return [sent, opened];"""
        assert run(self.ONE + taken) == [["/api/withdrawals"], ["b", "a"]]


class TestView:
    @pytest.mark.parametrize(("side", "most"), [(10, 4), (100, 8)])  # of a stage that is 528 pixels wide and high
    def test_nothing_comes_nearer_than_it_is_seen_whole(self, run: Run, side: int, most: float):
        zoomed = """const stage = document.createElement("div"), overlay = () => dom.svg("svg", { class: "overlay" });
            stage.append(Object.assign(document.createElement("div"), { className: "picture" }), overlay(), overlay());
            Object.assign(stage.style, { width: "528px", height: "528px" });
            document.body.append(stage);
            const shown = new view.View(stage, []), task = { width: given, height: given, tiles: null, boxes: [], whole: true };
            shown.show({ task, image: new Image(), fault: "" }, new boxes.BoxModel(task));
            const whole = shown.scale, scales = [];
            for (let press = 0; press < 9; press++) { shown.zoom(1.4); scales.push(shown.scale / whole); }
            stage.remove();
            return scales;"""
        scales = run(zoomed, side)
        assert scales == sorted(scales) and scales[0] > 1 and scales[-1] == pytest.approx(most)


class TestWaiting:
    """A server that is slow to answer, a hundred times faster: each reply takes longer than the pause between two questions."""

    SLOW = """
        const real = { fetch: window.fetch, setTimeout: window.setTimeout, timeout: AbortSignal.timeout };
        window.setTimeout = (done, ms) => real.setTimeout.call(window, done, ms / 100);
        AbortSignal.timeout = (ms) => real.timeout.call(AbortSignal, ms / 100);
        const ids = ["waiting", "editor", "waiting-title", "waiting-words", "training"];
        document.body.replaceChildren(...ids.map((id) => Object.assign(document.createElement("div"), { id, hidden: id === "waiting" })));
        let asked = 0, going = 0, most = 0;
        const heard = [];
        const reply = (body) => new Promise((done) => setTimeout(() => done(new Response(JSON.stringify(body))), 5000));
        const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
        const until = async (happens) => { for (let turn = 0; turn < 500 && !happens(); turn++) await sleep(1000); };
        const goOn = async () => { most = Math.max(most, ++going); await sleep(5000); going--; screen.hide(); };
        const page = { progress: (progress) => heard.push(progress), goOn };
        const screen = new waiting.Waiting(page), text = () => document.getElementById("waiting-title").textContent;
    """
    END = "finally { screen.hide(); Object.assign(window, real); AbortSignal.timeout = real.timeout; }"

    def watch(self, run: Run, body: str, given: Any = None) -> Any:
        return run(f"{self.SLOW} try {{ {body} }} {self.END}", given)

    def test_it_goes_on_once_however_long_a_reply_takes(self, run: Run):
        seen = """window.fetch = async () => { asked++; return reply({ waiting: asked > 1 ? 3 : 0 }); };
            screen.show("training"); await until(() => !screen.shown); await sleep(20000); return [screen.shown, most, asked];"""
        assert self.watch(run, seen) == [False, 1, 2]

    def test_a_server_that_never_answers_is_offline(self, run: Run):
        seen = """const aborted = (signal) => new Promise((_, failed) => signal.addEventListener("abort", () => failed(signal.reason)));
            window.fetch = (_, { signal }) => aborted(signal);
            screen.show("training"); await until(() => text() !== "The study is training"); return text();"""
        assert self.watch(run, seen) == "The server does not answer"

    def test_a_reply_to_a_screen_that_is_gone_changes_nothing(self, run: Run):
        seen = """window.fetch = async () => { asked++; return reply(asked === 1 ? { done: true } : { waiting: 0 }); };
            screen.show("leased"); await sleep(1000); screen.hide(); screen.show("training");
            await until(() => text() !== "The study is training");
            return [text(), heard.length, heard.some(({ done }) => done)];"""
        assert self.watch(run, seen) == ["The batch is done", 1, False]

    def test_whoever_trains_nothing_says_what_does(self, run: Run):
        seen = """const said = () => document.getElementById("waiting-words").textContent, found = [];
            for (const goes_on_by of ["boxwise run 'my birds'", null]) {
                window.fetch = async () => { asked++; return new Response(JSON.stringify({ waiting: 0, goes_on_by })); };
                const before = asked;
                screen.show("training"); await until(() => asked > before + 1); found.push(said()); screen.hide();
            }
            return found;"""
        beside, within = self.watch(run, seen)
        assert "as soon as boxwise run 'my birds' runs" in beside and "The study trains next" in within

    def test_each_outcome_of_the_queue_has_a_title_and_words(self, run: Run):
        outcomes = outcomes_of_the_queue()
        assert outcomes == {"leased", "others", "answered", "training", "done", "unreachable"}
        said = """window.fetch = () => new Promise(() => {});
            return given.map((reason) => {
                screen.show(reason);
                const shown = [text(), document.getElementById("waiting-words").textContent];
                screen.hide();
                return shown;
            });"""
        texts = [words for pair in self.watch(run, said, sorted(outcomes)) for words in pair]
        assert all(" " in words for words in texts) and len(set(texts)) == 2 * len(outcomes)


def outcomes_of_the_queue() -> set[str]:
    """The strings that `LabelQueue.next` can give in place of a task, read in its source and in that of what it asks."""
    methods = {
        node.name: node
        for node in ast.walk(ast.parse((STATIC.parent / "queue.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    given = [node for name in ("next", "_next", "_free") for node in ast.walk(methods[name]) if isinstance(node, ast.Return)]
    given += [node for node in ast.walk(methods["next"]) if isinstance(node, ast.IfExp)]
    return {
        part.value
        for node in given
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value
    }


class TestFigures:
    def test_any_figure_has_three_digits_that_count_and_a_whole_number_all_of_its_own(self, run: Run):
        values = [0.12345, 12.345, 1234.5, -0.5, 0, 17, 1234, 0.0000123, 1.5e-9]
        shown = run("return given.map((value) => figures.significant(value))", values)
        assert shown == ["0.123", "12.3", "1,230", "-0.5", "0", "17", "1,234", "0.0000123", "1.5E-9"]
        assert run("return [figures.significant(null), figures.significant(undefined), figures.significant(NaN)]") == ["–", "–", "NaN"]

    def test_a_share_is_in_percent(self, run: Run):
        assert run("return [figures.percent(0.125), figures.percent(2 / 3, 1), figures.percent(null)]") == ["13%", "66.7%", "–"]


class TestSmallThings:
    def test_classes_are_found_by_any_part_of_their_name(self, run: Run):
        classes = [{"name": name} for name in ("traffic light", "Light truck", "bus")]
        assert run("return dialogs.matching(given, ' LIGHT')", classes) == [1, 0]

    def test_submission_keys_are_version_4_uuids_and_differ(self, run: Run):
        from uuid import UUID

        made = run("return Array.from({length: 50}, () => api.uuid())")
        assert len(set(made)) == 50
        assert {UUID(key).version for key in made} == {4}

    def test_image_ids_are_quoted_for_addresses(self, run: Run):
        assert run("return api.thumbnail('a b/c?#%.jpg')") == "/thumbnails/a%20b/c%3F%23%25.jpg"

    def test_a_name_that_the_server_would_not_take_is_asked_for_again(self, run: Run):
        given = """const asked = [], names = ["x".repeat(150), " anna "], prompt = window.prompt;
            window.prompt = (words) => { asked.push(words); return names.shift(); };
            const name = new naming.Naming(document.createElement("button"), null).given();
            window.prompt = prompt;
            return [name, asked];"""
        assert run(given) == ["anna", ["Under which name?", "Under which name? It has 100 letters at most."]]

    def test_the_median_of_the_session(self, run: Run):
        assert run("return [panels.median([9, 1, 4]), panels.median([1, 4, 9, 2])]") == [4, 3]


class TestSources:
    def test_elements_are_found_and_made_by_one_module(self):
        for name in ("getElementById", "createElementNS"):
            assert [path.name for path in STATIC.glob("*.js") if name in path.read_text(encoding="utf-8")] == ["dom.js"]

    def test_the_page_asks_for_nothing_outside_and_holds_no_inline_code(self):
        html = (STATIC / "index.html").read_text(encoding="utf-8")
        for forbidden in ("http://", "https://", " style=", " onclick", "<style", "javascript:"):
            assert forbidden not in html

    @pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
    def test_names_reach_the_page_as_text_only(self, path: Path):
        source = path.read_text(encoding="utf-8")
        for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", 'setAttribute("style"', "https://"):
            assert forbidden not in source

    @pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
    def test_every_module_says_what_it_is_and_is_read_at_one_sitting(self, path: Path):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith(("// ", "/* ", "/** "))
        assert len(lines) < 400

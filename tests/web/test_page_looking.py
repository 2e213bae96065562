"""How the page looks and how fast it is: on phones, with large pictures, with hundreds of boxes, with classes shown by their lines."""

import io
import re
from dataclasses import replace

import httpx
import numpy as np
import pytest
from driving import boxes_in_list, drag, enter, hand_in, record_of, seen, serving, shown_image, spot, to_questions
from PIL import Image

from boxwise.config import load_config
from boxwise.data.datasets import read_pool
from boxwise.records import Action, Verdict
from boxwise.results.colors import class_colors
from boxwise.store import Journal
from boxwise.study import Study
from boxwise.web.answers import SLIVER
from boxwise.web.page_routes import STATIC

PHONES = [(420, 800), (390, 844), (360, 640), (844, 390), (640, 360)]  # the last: 1280 x 720 at 200%


@pytest.mark.parametrize(("width", "height"), PHONES)
def test_a_finger_draws_and_hands_in_on_a_phone(waiting_study, browsing, width, height):
    study = waiting_study("full")
    with serving(study) as port:
        page = browsing(viewport={"width": width, "height": height}, has_touch=True, is_mobile=width < 640).new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.locator("dialog[open] input").fill("anna")
        page.locator("dialog[open] [value=ok]").tap()
        page.locator("#editor").wait_for(state="visible")
        seen(page)
        stage, picture = page.locator("#stage").bounding_box(), page.locator(".picture").bounding_box()
        assert stage["height"] > 0.7 * height and stage["width"] > 0.7 * width and min(picture["width"], picture["height"]) > 180
        record = record_of(study, name := shown_image(page))
        drag(page, record, (20, 20), (60, 60))
        submit = page.locator("[data-action=submit]")
        box = submit.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["y"] + box["height"] <= height and box["height"] >= 40
        for action in ("toolDraw", "undo", "skip", "palette", "panel"):  # a scroll away at most
            page.locator(f"[role=toolbar] [data-action={action}]").scroll_into_view_if_needed()
        page.locator("[data-action=panel]").tap()
        page.locator("#classes .class").nth(2).tap()
        page.locator("[data-action=panel]").tap()
        submit.tap()
        page.wait_for_function("name => document.querySelector('#image-name').textContent !== name", arg=name)
        page.locator("#saved[data-state=saved]").wait_for(state="attached")
        (entry,) = study.store.history(name)
        annotation = entry.annotation
        assert annotation.boxes.labels.tolist() == [2] and annotation.boxes.xyxy[0].tolist() == pytest.approx([20, 20, 60, 60], abs=2)


def test_a_finger_draws_after_a_right_button_that_was_let_go_elsewhere(waiting_study, browsing):
    study = waiting_study("full")
    with serving(study) as port:
        page = browsing(has_touch=True).new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        enter(page, "anna")
        record = record_of(study, shown_image(page))
        page.mouse.move(*spot(page, record, 30, 30))
        page.mouse.down(button="right")
        page.mouse.move(2, 2)
        page.mouse.up(button="right")
        fingers = page.context.new_cdp_session(page)
        for kind, places in (("touchStart", [(20, 20)]), ("touchMove", [(60, 60)]), ("touchEnd", [])):
            points = [dict(zip("xy", spot(page, record, *place), strict=True)) for place in places]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        boxes_in_list(page).first.wait_for()


def test_a_lines_colour_is_the_class_and_its_dashes_the_status(waiting_study, person):
    study = waiting_study("review")
    with serving(study) as port:
        page = person(port, "anna")
        _, proposals = to_questions(page, study)
        lines = page.locator(".box .line")
        hexes = class_colors(len(study.classes))
        wanted = sorted(tuple(int(hexes[label][at : at + 2], 16) for at in (1, 3, 5)) for label in proposals.boxes.labels)
        shown = [line.evaluate("line => getComputedStyle(line).stroke.match(/\\d+/g).map(Number)") for line in lines.all()]
        assert sorted(map(tuple, shown)) == wanted
        dashes = {
            state: page.locator(f".box.{state} .line").first.evaluate("line => getComputedStyle(line).strokeDasharray")
            for state in ("open", "certain")
        }
        assert len({*dashes.values(), "none"}) == 3
        page.keyboard.press("Enter")
        assert page.locator(".box.human .line").first.evaluate("line => getComputedStyle(line).strokeDasharray") == "none"


# A pointer's move and a drawing of all boxes; each is done once the frame that shows it has been laid out.
STEPS = """() => {
    const stage = document.querySelector("#stage"), { left, top, width, height } = stage.getBoundingClientRect();
    const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    window.moves = (step) => {
        const [clientX, clientY] = [left + width * (0.3 + step / 150), top + height * (0.5 + 0.1 * Math.sin(step))];
        stage.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY, pointerId: 1, bubbles: true }));
    };
    window.zooms = (step) => {
        const place = { clientX: left + 300, clientY: top + 300, bubbles: true, cancelable: true };
        stage.dispatchEvent(new WheelEvent("wheel", { deltaY: step % 2 ? 20 : -20, ...place }));
        return drawn();
    };
}"""


SCRIPTED, ALL = ("ScriptDuration", "RecalcStyleDuration", "LayoutDuration"), ("TaskDuration",)  # of the browser's metrics


def milliseconds(page, step, *, of, times):
    """The median of the processor's time that a step costs the page's main thread, which other programs do not add to."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent():
        metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
        return 1000 * sum(metrics[name] for name in of)

    found = []
    for number in range(times):
        before = spent()
        page.evaluate(f"{step}({number})")
        found.append(spent() - before)
    return float(np.median(found))


def test_three_hundred_boxes_stay_quick(waiting_study, person):
    study = waiting_study("full")
    with serving(study) as port:
        page = person(port, "anna")
        name = shown_image(page)
        seen(page)
        rng = np.random.default_rng(0)
        corners = rng.uniform(0, 80, (300, 2))
        boxes = [
            Verdict(Action.ADD, xyxy=(x, y, x + 9, y + 9), label=int(label))
            for (x, y), label in zip(corners, rng.integers(0, 10, 300), strict=True)
        ]
        study.tell(name, boxes, annotator="ben")
        page.goto(f"http://127.0.0.1:{port}/?open={name}")
        boxes_in_list(page).nth(299).wait_for()
        seen(page)
        page.evaluate(STEPS)
        assert milliseconds(page, "moves", of=SCRIPTED, times=60) < 4
        assert milliseconds(page, "zooms", of=ALL, times=30) < 30  # painting too


def names_seen(page):
    """What is written on the stage, with where it begins."""
    return page.evaluate("""() => [...document.querySelectorAll(".names .chip, .names > g")]
        .filter((chip) => getComputedStyle(chip).visibility === "visible" && chip.getBoundingClientRect().width)
        .map((chip) => [chip.textContent.trim(), chip.getBoundingClientRect().x])""")


def test_small_boxes_have_no_name_and_long_names_are_cut_until_they_are_chosen(waiting_study, person):
    study = waiting_study("full")
    study.store.put("classes", ["contaminated packaging foil, transparent", *study.classes[1:]])
    study = Study.open(study.folder)
    with serving(study) as port:
        page = person(port, "anna")
        record = record_of(study, shown_image(page))
        drag(page, record, (20, 20), (60, 60))
        page.keyboard.press("1")
        page.wait_for_function("() => document.querySelectorAll('.names .chip.selected').length === 1")
        assert [words for words, _ in names_seen(page)] == ["● contaminated packaging foil, transparent"]
        page.keyboard.press("v")
        page.keyboard.press("Escape")
        drag(page, record, (80, 80), (84, 84))
        page.keyboard.press("2")
        page.keyboard.press("Escape")
        page.mouse.move(5, 5)
        page.wait_for_function("() => !document.querySelector('.box.selected, .box.hovered')")
        (words, left), *others = names_seen(page)
        assert words == "● contaminated packagin…" and others == [] and left == pytest.approx(spot(page, record, 20, 20)[0], abs=2)


def test_classes_with_long_names_can_be_told_apart(waiting_study, person):
    study = waiting_study("full")
    names = [f"class number {place} of many" for place in range(len(study.classes))]
    study.store.put("classes", names)
    with serving(Study.open(study.folder)) as port:
        page = person(port, "anna")
        drag(page, record_of(study, shown_image(page)), (10, 10), (60, 60))
        shown = page.locator("#classes .name")
        assert shown.all_inner_texts() == names and not any(shown.evaluate_all("all => all.map((e) => e.scrollWidth > e.clientWidth)"))
        page.keyboard.press("c")
        for where, named in (("#classes", names), ("#class-options", names), ("#boxes", names[:1])):
            assert page.locator(f"{where} .name").evaluate_all("all => all.map((e) => e.title)") == named


def test_a_large_picture_comes_reduced_and_near_by_in_its_own_pixels(waiting_study, browsing, tmp_path):
    study = waiting_study("full")
    record = record_of(study, study.ask().image_ids[0])
    pixels = np.zeros((3000, 4000, 3), np.uint8)
    pixels[:, ::2] = 255  # lines of a pixel: grey where it is reduced
    Image.fromarray(pixels).save(tmp_path / "large.png")
    large = replace(record, uri=str(tmp_path / "large.png"), width=4000, height=3000)
    Journal(study.store).move([large], round_index=0, who="anna", body={})
    with serving(study) as port:
        page = browsing().new_page()
        fetched = []
        page.on("response", lambda response: fetched.append(response.url))
        page.goto(f"http://127.0.0.1:{port}/")
        page.locator("dialog[open] input").fill("anna")
        page.keyboard.press("Enter")
        seen(page)
        assert shown_image(page) == record.image_id
        assert f"http://127.0.0.1:{port}/previews/{record.image_id}" in fetched and not [url for url in fetched if "/tiles/" in url]
        assert not [url for url in fetched if url.endswith(f"/images/{record.image_id}")]
        for _ in range(12):
            page.keyboard.press("+")
        page.locator("img.tile").first.wait_for()
        page.wait_for_function("() => [...document.querySelectorAll('img.tile')].every((tile) => tile.complete && tile.naturalWidth)")
        assert 1 <= page.locator("img.tile").count() <= 4
        tile = page.locator("img.tile").first
        left = float(tile.evaluate("tile => parseFloat(tile.style.left)"))
        assert left % 1024 == 0 and tile.evaluate("tile => tile.naturalWidth") <= 1024
        content = httpx.get(f"http://127.0.0.1:{port}/previews/{record.image_id}").content
        assert max(Image.open(io.BytesIO(content)).size) == 2048


def test_boxes_and_classes_are_hidden_and_shown(waiting_study, person):
    study = waiting_study("full")
    with serving(study) as port:
        page = person(port, "anna")
        record = record_of(study, shown_image(page))
        for key, start in (("2", (10, 10)), ("5", (40, 40))):
            drag(page, record, start, (start[0] + 20, start[1] + 20))
            page.keyboard.press(key)
        page.keyboard.press("Escape")
        assert page.locator(".overlay .box").count() == 2
        page.keyboard.press("b")
        page.locator("#hidden", has_text="Boxes are hidden").wait_for()
        page.wait_for_function("() => document.querySelectorAll('.overlay .box').length === 0")
        page.keyboard.press("b")
        page.wait_for_function("() => document.querySelectorAll('.overlay .box').length === 2")
        page.keyboard.press("Shift+b")
        page.locator("#hidden", has_text="Hidden: four").wait_for()
        page.wait_for_function("() => document.querySelectorAll('.overlay .box').length === 1")
        assert len(study.store.annotation(hand_in(page)).boxes) == 2  # hidden is not gone


def test_brightness_and_the_magnifier_change_only_what_is_seen(waiting_study, person):
    study = waiting_study("full")
    with serving(study) as port:
        page = person(port, "anna")
        record = record_of(study, shown_image(page))
        page.locator("#looking summary").click()
        page.locator("#brightness").fill("180")
        assert page.locator(".picture").evaluate("picture => picture.style.filter") == "brightness(180%) contrast(100%)"
        page.locator("[data-action=plainPicture]").click()
        assert page.locator(".picture").evaluate("picture => picture.style.filter") == ""
        page.locator("#stage").focus()
        page.keyboard.press("g")
        page.mouse.move(*spot(page, record, 30, 30))
        page.locator("#lens").wait_for(state="visible")
        lit = page.locator("#lens").evaluate(
            "lens => lens.getContext('2d').getImageData(20, 20, 100, 100).data.some((value, at) => at % 4 < 3 && value > 0)"
        )
        assert lit
        page.keyboard.press("g")
        page.locator("#lens").wait_for(state="hidden")


def test_the_smallest_box_is_one_pixel_for_the_page_as_for_the_server():
    written = (STATIC / "geometry.js").read_text(encoding="utf-8")
    assert float(re.search(r"SMALLEST = ([\d.]+);", written)[1]) == SLIVER


@pytest.mark.slow
def test_boxes_of_a_pixel_and_more_are_drawn_and_smaller_ones_named(tiny_overrides, person, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "photos/a.png")
    pool = read_pool(tmp_path / "photos", None, classes=("cat", "dog"))
    study = Study.create(tmp_path / "study", pool, config=load_config(None, (*tiny_overrides, "budget.initial=1")))
    (image_id,) = study.ask().image_ids
    with serving(study) as port:
        page = person(port, "anna")
        record = record_of(study, shown_image(page))
        drag(page, record, (1, 1), (1.9, 6))
        page.get_by_text("Too small for a box").wait_for()
        assert boxes_in_list(page).count() == 0
        drag(page, record, (1, 1), (2.5, 7))
        page.keyboard.press("Escape")
        page.keyboard.press("o")
        assert boxes_in_list(page).count() == 2
        hand_in(page)
    assert len(study.annotation(image_id).boxes) == 2

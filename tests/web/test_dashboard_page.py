"""The dashboard in a real browser, on a study of three evaluated rounds with class names that would be code if they were not text."""

from shlex import split

import numpy as np
import pytest
from driving import another, serving
from knowing import evaluated_at

from boxwise.artifacts.detections_file import writing_detections
from boxwise.boxes import Boxes
from boxwise.config import load_config
from boxwise.records import Split
from boxwise.study import Study
from boxwise.web.progress import write_trouble

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=document.title='owned'>"


def seen_by_a_sure_model(study):
    """Detections on val: of one image, whose id is returned, all are of the wrong class, the others' are right."""
    labels = {i: a.boxes for i, a in study.store.annotations(Split.VAL).items()}
    wrong = next(i for i, boxes in labels.items() if len(boxes))
    with writing_detections(study.files(2).val_detections) as writer:
        for image_id, boxes in labels.items():
            classes = (boxes.labels + 1) % len(study.classes) if image_id == wrong else boxes.labels
            writer.add(image_id, Boxes(boxes.xyxy, classes, np.full(len(boxes), 0.95, np.float32)))
    return wrong


@pytest.fixture(scope="module")
def study(hidden, tiny_overrides, tmp_path_factory):
    """Rounds 0, 1 and 2 are evaluated, a fourth may follow."""
    annotator, dataset = hidden
    config = load_config(None, (*tiny_overrides, "device=cpu", "train.max_steps=4", "train.min_steps=4"))
    made = Study.create(tmp_path_factory.mktemp("dashboard_page") / "study", dataset, config=config)
    made.run(annotator)
    made.extend(3)
    made.store.put("classes", [HOSTILE, *made.classes[1:]])
    evaluated_at(made, 0.4)
    return Study.open(made.folder)


@pytest.fixture
def wrong(study):
    """The val image that the last model gets wrong, as its files say before anybody looks."""
    return seen_by_a_sure_model(study)


@pytest.fixture
def page(study, browsing):
    with serving(study) as port:
        page = browsing().new_page()
        page.goto(f"http://127.0.0.1:{port}/dashboard")
        page.locator("#figures dd").first.wait_for()
        yield page


def test_curves_are_drawn_over_each_axis(study, page):
    charts = page.locator("#quality svg.chart")
    assert charts.count() == 3
    ap = [facts["evaluate"]["val"]["ap"] for facts in study.store.facts().values()]
    for chart in charts.all():
        assert chart.locator("polyline.first").get_attribute("points").count(",") == len(ap) == chart.locator("circle.first").count()
        assert chart.bounding_box()["height"] > 100


def test_classes_are_text_with_their_amounts(study, page):
    rows = page.locator("#balance tbody tr")
    assert rows.count() == len(study.classes) and HOSTILE in rows.first.inner_text()
    assert page.title() != "owned" and page.locator("img[src=x]").count() == 0
    labelled = np.bincount(np.concatenate([a.boxes.labels for a in study.store.annotations(Split.TRAIN).values()]), minlength=10)
    assert [int(row.locator("td").nth(1).inner_text()) for row in rows.all()] == labelled.tolist()


def test_scores_of_the_pool_stand_in_histograms(page):
    charts = page.locator("#histograms svg.chart")
    assert charts.count() >= 3 and all(chart.locator("rect.bar").count() == 20 for chart in charts.all())


def test_worst_images_and_suspects_are_shown_and_lead_to_the_image(wrong, page):
    worst = page.locator("#worst .shot")
    worst.first.wait_for()
    assert wrong in worst.first.inner_text() and "of the wrong class" in worst.first.inner_text()
    suspects = page.locator("#suspects .shot")
    assert wrong in "".join(suspects.all_inner_texts()) and "looks like" in suspects.first.inner_text()
    assert suspects.first.locator("rect").count() == 2
    page.wait_for_function("() => fetch(document.querySelector('#worst image').getAttribute('href')).then((reply) => reply.ok)")
    link = worst.first.get_attribute("href")
    page.goto(page.url.removesuffix("/dashboard") + link)
    page.locator("dialog[open] input").fill("anna")
    page.keyboard.press("Enter")
    page.wait_for_function("name => document.querySelector('#image-name').textContent === name", arg=wrong)


def test_a_doubt_is_carried_to_the_image_and_settled_by_saying_that_the_label_is_right(study, wrong, page, tmp_path):
    address, doubts = page.url.removesuffix("/dashboard"), len(study.store.annotation(wrong).boxes)
    page.goto(address + page.locator(f"#suspects .shot[title='{wrong}']").first.get_attribute("href"))
    page.locator("dialog[open] input").fill("anna")
    page.keyboard.press("Enter")
    page.locator("#doubt").wait_for(state="visible")
    page.locator(".doubts .doubt").wait_for()
    assert "the model sees" in page.locator("#doubt-words").inner_text() and page.locator(".doubts .doubt").count() == 1
    assert page.locator("#boxes [aria-selected=true]").count() == 1  # the label that is meant
    before = study.store.annotation(wrong)
    page.locator("#stage[data-seen]").wait_for(state="attached")
    for _ in range(doubts):
        page.keyboard.press("y")
    another(page, wrong)
    page.locator("#saved[data-state=saved]").wait_for(state="attached")
    after = study.store.annotation(wrong)
    assert after.boxes.xyxy.tolist() == before.boxes.xyxy.tolist() and after.boxes.labels.tolist() == before.boxes.labels.tolist()
    assert len(study.store.history(wrong)) == 2
    page.goto(address + "/dashboard")
    page.locator("#figures dd").first.wait_for()
    assert page.locator(f"#suspects .shot[title='{wrong}']").count() == 0


def test_it_says_whether_to_go_on_and_who_labelled(page):
    assert page.locator("#next .lede").inner_text() in ("Consider stopping.", "Go on.", "Too early to tell.")
    assert page.locator("#next .rule").count() == 2 and "simulated" in page.locator("#people").inner_text()


def test_the_budget_and_what_a_target_would_take(study, page):
    budget = page.locator("#budget").inner_text()
    assert "of 18" in budget and "cost.per_hour" in budget
    assert page.locator("#budget progress").evaluate("bar => [bar.value, bar.max]") == [study.labour(Split.TRAIN).images, 18]
    page.locator("#target").fill("0.30")
    page.keyboard.press("Enter")
    page.locator("#forecast", has_text="has been reached already").wait_for()
    page.reload()
    page.locator("#forecast", has_text="An AP of 0.3 has been reached already").wait_for()


def test_a_forecast_that_comes_late_does_not_take_the_place_of_a_later_one(page):
    page.locator("#forecast:not(:empty)").wait_for()
    held = []
    page.route("**/api/forecast?ap=0.20", lambda route: held.append(route))  # answered below, after the next question
    page.locator("#target").fill("0.20")
    with page.expect_request("**/api/forecast?ap=0.20"):
        page.keyboard.press("Enter")
    page.locator("#target").fill("0.30")
    page.keyboard.press("Enter")
    page.locator("#forecast", has_text="An AP of 0.3 has been reached already").wait_for()
    with page.expect_response("**/api/forecast?ap=0.20"):
        held[0].continue_()
    page.evaluate("() => new Promise((done) => setTimeout(done, 100))")
    assert "An AP of 0.3" in page.locator("#forecast").inner_text()


def test_it_speaks_the_readers_language(study, browsing):
    with serving(study) as port:
        for locale, heading in (("de-DE", "Das Budget"), ("zh-CN", "预算"), ("es-ES", "El presupuesto")):
            page = browsing(locale=locale).new_page()
            page.goto(f"http://127.0.0.1:{port}/dashboard")
            page.locator("#figures dd").first.wait_for()
            assert page.locator("#h-budget").inner_text() == heading and page.evaluate("document.documentElement.lang") == locale[:2]
            text = page.locator("main").inner_text()
            assert "images labelled" not in text and "expected to" not in text and "Needs" not in text


def test_trouble_is_an_alert(study, page):
    assert not page.locator("#trouble").is_visible()
    write_trouble(study.folder, "no space left on <b>the disk</b>.")
    page.reload()
    alert = page.locator("#trouble[role=alert]")
    alert.wait_for(state="visible")
    assert "no space left on <b>the disk</b>." in alert.inner_text() and "All labels are safe" in alert.inner_text()
    assert split(alert.locator("code").inner_text()) == ["boxwise", "run", str(study.folder.resolve())]
    (study.folder / "progress.json").unlink()

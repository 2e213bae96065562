"""The pages for people who see, hear or move otherwise: WCAG 2.2 AA by axe on every view, keys alone, focus, narrow screens, languages.

axe finds what a program can find, which is a part of the criteria; no test with a screen reader is made here.
"""

import os
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from driving import another, boxes_in_list, enter, record_of, saved, seen, serving, shown_image, to_questions

from boxwise.records import Role
from boxwise.study import Study

RULES = """axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    resultTypes: ['violations'], // of what passes nothing is written down
}).then((found) => found.violations)"""
TOKEN = "a-token-of-the-tests"
PAGES = [  # each page beside the labelling page, and what shows that it is drawn
    ("dashboard", "#figures dd"),
    ("pool", "#images .pick"),
    ("review", "#answers figure"),
    ("guidelines", "#examples h3"),
]


@pytest.fixture(scope="session")
def axe():
    """The source of axe-core, as the package axe-playwright-python ships it, or of the file that BOXWISE_AXE names."""
    given = os.environ.get("BOXWISE_AXE")
    if given:
        return Path(given).read_text(encoding="utf-8")
    package = pytest.importorskip("axe_playwright_python", reason="WCAG IS NOT TESTED: install axe-playwright-python")
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def faults(axe):
    """A function: what axe finds wrong with a page, as (rule, the first element that breaks it)."""

    def found(page):
        if not page.evaluate("'axe' in window"):  # half a megabyte, which a page that stays has got already
            page.evaluate(axe)
        return [(fault["id"], fault["nodes"][0]["html"][:200]) for fault in page.evaluate(RULES)]

    return found


def draws(page, port, path, there):
    page.goto(f"http://127.0.0.1:{port}/{path}")
    page.locator(there).first.wait_for()


class TestWcag:
    """Every view, light and dark, on a wide screen and at the narrowest that WCAG asks for."""

    @pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 320)])
    def test_every_view_while_labelling(self, waiting_study, browsing, faults, scheme, width):
        study = waiting_study("review")
        with serving(study) as port:
            page = browsing(viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce").new_page()
            page.goto(f"http://127.0.0.1:{port}/")
            page.locator("dialog[open] input").wait_for()
            assert faults(page) == []
            enter(page, "anna")
            to_questions(page, study)
            assert faults(page) == []
            for key, dialog in (("c", "class"), ("s", "reason"), ("?", "help")):
                page.locator("#stage").focus()
                page.keyboard.press(key)
                page.locator(f"#{dialog}-dialog[open]").wait_for()
                assert faults(page) == []
                page.keyboard.press("Escape")
            page.keyboard.press("i")  # the panel, where the screen is small
            for summary in page.locator("summary:visible").all():
                summary.click()
            page.locator("aside").wait_for()
            assert faults(page) == []

    @pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
    def test_every_other_page(self, waiting_study, browsing, faults, scheme, width):
        with serving(waiting_study("full")) as port:
            page = browsing(viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce").new_page()
            for path, there in PAGES:
                draws(page, port, path, there)
                assert faults(page) == []

    def test_the_pages_without_an_image(self, waiting_study, browsing, faults):
        study = waiting_study("full")
        study.store.put("position", [1, "done"])
        with serving(Study.open(study.folder), token=TOKEN) as port:
            page = browsing().new_page()
            page.goto(f"http://127.0.0.1:{port}/")
            page.locator("h1", has_text="Open this page with its link").wait_for()
            assert faults(page) == []
            page.goto(f"http://127.0.0.1:{port}/?token={TOKEN}")
            page.locator("dialog[open] input").fill("anna")
            page.keyboard.press("Enter")
            page.locator("#waiting[data-reason=done]").wait_for(state="visible")
            assert faults(page) == []

    def test_axe_sees_what_it_is_to_see(self, waiting_study, browsing, faults):
        with serving(waiting_study("full")) as port:
            page = browsing().new_page()
            draws(page, port, *PAGES[0])
            page.evaluate("""() => {
                document.documentElement.lang = "";
                document.querySelector("h1").style.color = "#ccc";
                document.querySelector("select").removeAttribute("aria-label");
            }""")
            assert {"color-contrast", "html-has-lang", "select-name"} <= {rule for rule, _ in faults(page)}


# The element that has the focus: a name for it, where it is, and whether its outline shows.
FOCUSED = """async () => {
    for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame); // scrolled to by then
    const e = document.activeElement, { x, y, width, height } = e.getBoundingClientRect(), style = getComputedStyle(e);
    const name = e.id || e.dataset.action || e.getAttribute("href") || e.name || e.ariaLabel || e.innerText || e.tagName;
    const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    const inside = x + width > 0 && y + height > 0 && x < innerWidth && y < innerHeight;
    return { name, body: e === document.body, ring, width, inside };
}"""


def tabbed(page, *, most=200):
    """What Tab goes through, from the top of the page until it comes round or leaves the page."""
    page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0)")
    found = []
    for _ in range(most):
        page.keyboard.press("Tab")
        here = page.evaluate(FOCUSED)
        if here["body"] or (found and here["name"] == found[0]["name"]):
            return found
        found.append(here)
    raise AssertionError(f"Tab does not come round after {most} stops")


class TestFocus:
    @pytest.mark.parametrize(("path", "there"), PAGES)
    def test_tab_goes_through_a_page_in_its_order_and_every_stop_is_seen(self, waiting_study, browsing, path, there):
        with serving(waiting_study("full")) as port:
            page = browsing(reduced_motion="reduce").new_page()  # else a stop is scrolled to slowly
            draws(page, port, path, there)
            stops = tabbed(page)
            controls = page.locator("a:visible, button:visible:enabled, input:visible:enabled, select:visible").count()
            assert (
                controls > 2
                and len(stops) >= min(controls, 5)
                and all(stop["ring"] and stop["inside"] and stop["width"] > 0 for stop in stops)
            )
            assert page.locator("[tabindex]:not([tabindex='0'], [tabindex='-1'])").count() == 0

    def test_f6_leaves_the_image_and_tab_goes_on_through_the_controls(self, waiting_study, person):
        with serving(waiting_study("review")) as port:
            page = person(port, "anna")
            assert page.evaluate("document.activeElement.id") == "stage"
            page.keyboard.press("Tab")  # on the image it goes to the next question
            assert page.evaluate("document.activeElement.id") == "stage"
            page.keyboard.press("F6")
            names = [page.evaluate(FOCUSED)]
            while names[-1]["name"] != "submit" and len(names) < 80:
                page.keyboard.press("Tab")
                names.append(page.evaluate(FOCUSED))
                if names[-1]["name"] == "stage":  # Tab would stay on it: F6 goes back, the buttons below are after it
                    page.evaluate("document.querySelector('.tools button:not(:disabled)').focus()")
                    names.append(page.evaluate(FOCUSED))
            said = [stop["name"] for stop in names]
            assert said[0] == "toolEdit" and said[-1] == "submit" and "skip" in said
            assert all(stop["ring"] and stop["inside"] for stop in names)

    def test_a_dialog_keeps_the_focus_and_gives_it_back(self, waiting_study, person):
        with serving(waiting_study("full")) as port:
            page = person(port, "anna")
            for key, dialog in (("c", "class-dialog"), ("s", "reason-dialog"), ("?", "help-dialog")):
                page.keyboard.press(key)
                page.locator(f"#{dialog}[open]").wait_for()
                for _ in range(6):
                    page.keyboard.press("Tab")
                    assert page.evaluate(f"document.activeElement === document.body || !!document.activeElement.closest('#{dialog}')")
                page.keyboard.press("Escape")
                assert page.evaluate("document.activeElement.id") == "stage"


def test_the_help_begins_at_its_top_with_its_button_in_sight(waiting_study, browsing):
    with serving(waiting_study("full")) as port:
        page = browsing(viewport={"width": 320, "height": 568}).new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        enter(page, "anna")
        page.keyboard.press("?")
        page.locator("#help-dialog[open]").wait_for()
        title, close = page.locator("#help-title").bounding_box(), page.locator("#help-dialog [value=close]").bounding_box()
        assert title["y"] >= 0 and close["y"] + close["height"] <= 568 and page.evaluate("document.activeElement.value") == "close"


def test_letters_alone_are_no_keys_for_who_dictates(waiting_study, person):
    """WCAG 2.1.4: single keys can be turned off; Tab, Space and Ctrl go on."""
    with serving(waiting_study("full")) as port:
        page = person(port, "anna")
        page.keyboard.press("o")
        assert boxes_in_list(page).count() == 1
        page.keyboard.press("?")
        page.locator("#help-dialog input").uncheck()
        page.keyboard.press("Escape")
        for key in ("o", "x", "?", "Shift+m"):
            page.keyboard.press(key)
        assert boxes_in_list(page).count() == 1 and not page.locator("dialog[open]").count()
        page.keyboard.press("Control+z")
        assert boxes_in_list(page).count() == 0
        page.locator("[data-action=help]").click()
        page.locator("#help-dialog input").check()
        page.keyboard.press("Escape")
        page.keyboard.press("o")
        assert boxes_in_list(page).count() == 1


def test_a_whole_image_by_keys_alone(waiting_study, browsing):
    """Name, box, class, hand-in, taking back and handing in again: no mouse, no script."""
    study = waiting_study("full")
    with serving(study) as port:
        page = browsing().new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.locator("dialog[open] input").wait_for()
        page.keyboard.type("anna")
        page.keyboard.press("Enter")
        page.locator("#editor").wait_for(state="visible")
        seen(page)
        name = shown_image(page)
        record = record_of(study, name)
        page.keyboard.press("o")
        x1, y1, x2, y2 = 0.4 * record.width, 0.4 * record.height, 0.6 * record.width, 0.6 * record.height
        for key in ("Shift+ArrowRight", "Shift+ArrowRight", "ArrowDown", "Alt+ArrowRight", "3"):
            page.keyboard.press(key)
        assert boxes_in_list(page).count() == 1
        page.keyboard.press("Space")
        another(page, name)
        saved(page)
        (first,) = study.store.history(name)
        assert first.annotation.boxes.labels.tolist() == [2] and first.annotation.complete
        left, top, right, bottom = first.annotation.boxes.xyxy[0].tolist()
        middle = ((left + right) / 2 - (x1 + x2) / 2, (top + bottom) / 2 - (y1 + y2) / 2)
        assert middle == pytest.approx((20.5, 1), abs=1.5)
        page.keyboard.press("u")
        page.wait_for_function("name => document.querySelector('#image-name').textContent === name", arg=name)
        seen(page)
        page.keyboard.press("Tab")  # no question is open: to the box
        page.keyboard.press("x")
        page.locator("#boxes:not(:has([role=option]))").wait_for(state="attached")


# Of each control: whether it is drawn, its left and right edge, and what it is; each brought into sight first, or left where it is.
# One call for all: one a control took most of the test. Two frames first, for what a page does once its window has another size.
WHERE = """async (controls, brought) => {
    for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
    return controls.map((e) => {
        if (brought) e.scrollIntoView({ behavior: "instant", block: "nearest", inline: "nearest" });
        const { left, right } = e.getBoundingClientRect();
        return [e.getClientRects().length > 0, left, right, e.outerHTML];
    });
}"""


@pytest.mark.parametrize(("path", "there"), [("", "#stage"), *PAGES])
def test_nothing_is_lost_at_320_pixels(waiting_study, browsing, path, there):
    """WCAG 1.4.10: as at 1280 pixels and 400%: nothing is wider than the page, and every control can be brought into sight."""
    with serving(waiting_study("full")) as port:
        context = browsing(viewport={"width": 320, "height": 568})
        context.add_init_script("try { localStorage.setItem('boxwise/annotator', JSON.stringify('anna')); } catch {}")
        page = context.new_page()
        draws(page, port, path, there)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        controls = page.locator("button:visible, select:visible, input:visible, a:visible").evaluate_all(WHERE, True)
        assert controls
        for drawn, left, right, html in controls:
            assert not drawn or (left >= -1 and right <= 321), html


# The height of the labelling page's header with these words about what is saved.
HEADER_SAYING = """(words) => {
    document.getElementById("saved").textContent = words;
    return document.querySelector("header").offsetHeight;
}"""


@pytest.mark.parametrize("locale", ["en", "de", "zh", "es"])
def test_the_header_of_the_labelling_page_is_within_the_window(waiting_study, browsing, locale):
    """Of a reviewer with a long name, whose header has every link, on tablets and at 200%; what is saved moves nothing below it."""
    study = waiting_study("full")
    link = study.team.invite("Maximiliane von Hohenlohe", Role.REVIEWER, who="lea")
    with serving(study, token=TOKEN) as port:
        page = browsing(locale=locale).new_page()
        page.goto(f"http://127.0.0.1:{port}/?person={link}")
        page.locator("#editor").wait_for(state="visible")
        page.locator("#to-review").wait_for(state="visible")
        for width in (701, 768, 820, 900, 1024, 1200):
            page.set_viewport_size({"width": width, "height": 900})
            for drawn, left, right, html in page.locator("header").locator("a, button, select").evaluate_all(WHERE, False):
                assert drawn and left >= 0 and right <= width, (width, html)
            saved, offline = (page.evaluate(HEADER_SAYING, words) for words in ("Saved", "Offline; 12 answers are kept in this browser"))
            assert saved == offline


@pytest.mark.parametrize(("locale", "code"), [("en-GB", "en"), ("de-AT", "de"), ("zh-CN", "zh"), ("es-MX", "es")])
def test_every_page_says_its_language(waiting_study, browsing, locale, code):
    with serving(waiting_study("full"), token=TOKEN) as port:
        page = browsing(locale=locale).new_page()
        page.goto(f"http://127.0.0.1:{port}/?token={TOKEN}")
        for path, there in [("", "dialog[open] input"), *PAGES]:
            draws(page, port, path, there)
            assert page.evaluate("document.documentElement.lang") == code
        outside = httpx.get(f"http://127.0.0.1:{port}/", headers={"accept": "text/html"})
        assert outside.status_code == 401 and '<html lang="en">' in outside.text


def test_headings_go_down_one_by_one(waiting_study, browsing):
    with serving(waiting_study("full")) as port:
        page = browsing().new_page()
        for path, there in PAGES:
            draws(page, port, path, there)
            levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map((e) => Number(e.tagName[1]))")
            assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in pairwise(levels))

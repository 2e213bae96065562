"""The pool's page in a real browser: dragging a region, searching, selecting, acting; by mouse and by keys alone."""

from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
from driving import serving
from joining import join

from boxwise.records import Split


@pytest.fixture
def study(waiting_study):
    return waiting_study("full")


@contextmanager
def opened(study, browsing):
    """The pool's page as anna sees it."""
    with serving(study) as port:
        context = browsing()
        context.add_init_script("try { localStorage.setItem('boxwise/annotator', JSON.stringify('anna')); } catch {}")
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/pool")
        page.locator("#images .pick").first.wait_for()
        yield page


@pytest.fixture
def page(study, browsing):
    with opened(study, browsing) as page:
        yield page


def amount(page):
    return int(page.locator("#found").inner_text().split()[0])


def found(page, words):
    page.locator("#found", has_text=words).wait_for()


def test_a_region_is_dragged_and_its_images_are_asked_about_next(study, page):
    assert page.locator("#map path.mark.pool").get_attribute("d") and page.locator("#legend li").count() >= 2
    box = page.locator("#map").bounding_box()
    page.mouse.move(box["x"] + 4, box["y"] + 4)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + box["height"] - 4, steps=3)
    page.mouse.up()
    found(page, "Only those in the region.")
    page.locator("[name=state]").select_option("pool")
    page.wait_for_function("() => [...document.querySelectorAll('.pick')].every((pick) => pick.innerText.includes('in the pool'))")
    inside = amount(page)
    assert 0 < inside < len(study.images(Split.TRAIN))
    page.locator("#select-all").click()
    page.locator("[data-act=ask]").click()
    page.locator("#done", has_text=f"Done for {inside} images.").wait_for()
    assert len(study.wanted()) == inside and page.locator("#map path.mark.wanted").get_attribute("d")


ONLY = """([name, words]) => {
    const [pick, ...more] = document.querySelectorAll(".pick");
    return pick && !more.length && pick.innerText.includes(name) && pick.innerText.includes(words);
}"""


def test_each_image_says_what_it_is_for(study, browsing):
    labelled = study.images(Split.TEST)[0].image_id
    join(study.store, [replace(study.images(Split.TRAIN)[0], image_id="test_new.png", split=Split.TEST)])
    with opened(study, browsing) as page:
        for name, words in ((labelled, "labelled, for the test"), ("test_new.png", "for the test, without labels")):
            page.locator("[name=text]").fill(name)
            page.wait_for_function(ONLY, arg=[name, words])
            assert "in the pool" not in page.locator(".pick").inner_text()
        page.locator(".pick input").check()
        page.locator("[data-act=ask]").click()
        page.locator("#done", has_text="test_new.png is for the test: it is never asked about.").wait_for()
        assert study.wanted() == ()


def test_all_of_it_by_keys_alone(study, page):
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    found(page, "Only those in the region.")
    first = page.locator("#map .region").get_attribute("width")
    page.keyboard.press("Shift+ArrowRight")
    assert float(page.locator("#map .region").get_attribute("width")) > float(first)
    page.keyboard.press("Escape")
    page.wait_for_function("() => !document.querySelector('#found').innerText.includes('region')")
    name = study.unanswered().image_ids[0]
    page.locator("[name=text]").focus()
    page.keyboard.type(name)
    found(page, "One image found.")
    page.locator(".pick input").focus()
    page.keyboard.press("Space")
    page.locator("[data-act=flag]").focus()
    page.keyboard.press("Enter")
    page.locator("#done", has_text="Give a reason first.").wait_for()
    page.keyboard.type("blurred")
    page.locator("[data-act=flag]").focus()
    page.keyboard.press("Enter")
    page.locator("#done", has_text="Done for one image.").wait_for()
    assert "anna: blurred" in study.quarantined()[name]


def test_what_one_person_labelled_is_selected_alone(study, page):
    by = {image_id for image_id, given in study.labelled_by().items() if given.annotator == "simulated"}
    page.locator("[name=person]").select_option("simulated")
    found(page, f"{len(by)} images found.")
    page.locator("#select-all").click()
    page.locator("#selected", has_text=f"{len(by)} selected").wait_for()


def test_while_a_search_fails_nothing_is_acted_upon_and_what_is_selected_stays_so(study, page):
    chosen = f"{amount(page)} selected"
    page.locator("#select-all").click()
    page.locator("#selected", has_text=chosen).wait_for()
    assert page.locator("[data-act=flag]").is_enabled()
    page.route("**/api/pool/images?*", lambda route: route.abort())
    page.locator("[name=state]").select_option("labelled")
    assert page.locator("#select-all").is_disabled()  # what is on the page is of the search before
    found(page, "The server does not answer.")
    assert page.locator(".pick").count() == 0 and page.locator("#select-all").is_disabled()
    assert page.locator("#selected").inner_text() == chosen and page.locator("[data-act]:enabled").count() == 0
    page.unroute("**/api/pool/images?*")
    page.locator("[name=state]").select_option("")
    page.locator(".pick").first.wait_for()
    assert page.locator("#select-all").is_enabled() and page.locator("#selected").inner_text() == chosen
    assert page.locator("[data-act=flag]").is_enabled()


def test_two_quick_clicks_act_once(study, page):
    page.locator(".pick input").first.check()
    sent = []
    page.route("**/api/pool/acts", lambda route: (sent.append(route), route.continue_()))
    page.evaluate("() => { const button = document.querySelector('[data-act=ask]'); button.click(); button.click(); }")
    page.locator("#done", has_text="Done for one image.").wait_for()
    page.wait_for_load_state("networkidle")
    assert len(sent) == 1


def test_many_are_acted_upon_some_at_a_time(study, browsing):
    record = study.images(Split.TRAIN)[0]
    join(study.store, [replace(record, image_id=f"more{number}.png") for number in range(230)])
    with opened(study, browsing) as page:
        page.locator("[name=text]").fill("more")
        found(page, "230 images found.")
        page.locator("#select-all").click()
        page.locator("#reason").fill("blurred")
        sent, held = [], []

        def one(route):
            sent.append(len(route.request.post_data_json["image_ids"]))
            held.append(route) if len(sent) == 2 else route.continue_()

        page.route("**/api/pool/acts", one)
        page.locator("[data-act=flag]").click()
        page.locator("#done", has_text="100 of 230 images are through.").wait_for()
        assert page.locator("[data-act]:enabled").count() == 0
        held[0].abort()
        page.locator("#done", has_text="The server does not answer.").wait_for()
        assert page.locator("#selected").inner_text() == "130 selected" and len(study.quarantined()) == 100
        page.locator("[data-act=flag]").click()
        page.locator("#done", has_text="Done for 130 images.").wait_for()
        assert len(study.quarantined()) == 230 and sent == [100, 100, 100, 30]


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_page(study, browsing, width):
    with serving(study) as port:
        page = browsing(viewport={"width": width, "height": 800}, locale="de-DE").new_page()
        page.goto(f"http://127.0.0.1:{port}/pool")
        page.locator("#images .pick").first.wait_for()
        assert page.locator("#h-map").inner_text() == "Karte des Vorrats"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# What a program can hold a page against without a checker: names, sizes, contrast of words against what is behind them.
FAULTS = """() => {
    const shown = (element) => element.checkVisibility?.() !== false && element.getBoundingClientRect().width > 1;
    const words_of = (e) => [e.getAttribute("aria-label"), e.labels?.[0]?.innerText, e.innerText, e.title];
    const name = (e) => words_of(e).map((word) => word?.trim()).find(Boolean);
    const small = (e) => { const { width, height } = e.getBoundingClientRect(); return Math.min(width, height) < 24; };
    const light = (color) => {
        const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
            .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (e) => {
        for (; e; e = e.parentElement) {
            const color = getComputedStyle(e).backgroundColor;
            if (!/, 0\\)$/.test(color) && color !== "transparent") return color;
        }
        return "rgb(255, 255, 255)";
    };
    const faint = (e) => {
        const [high, low] = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a);
        return (high + 0.05) / (low + 0.05) < 4.5;
    };
    const controls = [...document.querySelectorAll("button, input, select, a.button, [role=application]")].filter(shown);
    const words = [...document.querySelectorAll("h1, h2, h3, p, dt, dd, label, legend, td, th, span, a, button")]
        .filter((e) => shown(e) && [...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) && !e.disabled);
    return {
        nameless: controls.filter((e) => !name(e)).map((e) => e.outerHTML.slice(0, 80)),
        small: controls.filter(small).map((e) => e.outerHTML.slice(0, 80)),
        faint: words.filter(faint).map((e) => e.outerHTML.slice(0, 80)),
        headings: [...document.querySelectorAll("h1, h2, h3")].map((e) => Number(e.tagName[1])),
    };
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_controls_have_names_and_sizes_and_words_have_contrast(study, browsing, scheme):
    with serving(study) as port:
        page = browsing(viewport={"width": 390, "height": 800}, color_scheme=scheme).new_page()
        for path, there in (("pool", "#images .pick"), ("dashboard", "#figures dd")):
            page.goto(f"http://127.0.0.1:{port}/{path}")
            page.locator(there).first.wait_for()
            found = page.evaluate(FAULTS)
            assert (found["nameless"], found["small"], found["faint"]) == ([], [], [])
            levels = found["headings"]
            assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in pairwise(levels))
            page.evaluate("document.querySelector('h1').style.color = getComputedStyle(document.body).backgroundColor")
            assert len(page.evaluate(FAULTS)["faint"]) == 1  # the measure sees what it is to see

"""The pool's page in a real browser: dragging a region, searching, selecting, acting; by mouse and by keys alone."""

import pytest
from driving import serving

from boxwise.records import Split


@pytest.fixture
def study(waiting_study):
    return waiting_study("full")


@pytest.fixture
def page(study, browsing):
    with serving(study) as port:
        context = browsing()
        context.add_init_script("try { localStorage.setItem('boxwise/annotator', JSON.stringify('anna')); } catch {}")
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/pool")
        page.locator("#images .pick").first.wait_for()
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
    page.locator("#done", has_text=f"Done for {inside} images, not for 0.").wait_for()
    assert len(study.wanted()) == inside and page.locator("#map path.mark.wanted").get_attribute("d")


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
    page.locator("#done", has_text="Done for 1 images").wait_for()
    assert "anna: blurred" in study.quarantined()[name]


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_page(study, browsing, width):
    with serving(study) as port:
        page = browsing(viewport={"width": width, "height": 800}, locale="de-DE").new_page()
        page.goto(f"http://127.0.0.1:{port}/pool")
        page.locator("#images .pick").first.wait_for()
        assert page.locator("#h-map").inner_text() == "Karte des Vorrats"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

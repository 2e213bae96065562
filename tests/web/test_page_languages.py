"""The page for everybody: four languages of which each has every word, also of the server's refusals, and writing from right to left."""

import ast
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from driving import boxes_in_list, drag, enter, hand_in, record_of, serving, shown_image

import boxwise.web
from boxwise.web.pool import _NOT_NEXT
from boxwise.web.reasons import REASONS, Reason

STATIC = Path(boxwise.web.__file__).parent / "static"
CATALOGUES = ("catalogue.js", "catalogue.dashboard.js")
ENGLISH = {"boxwise", "Enter", "Space"}  # names and what keys bear
ROW = re.compile(r'^  "(.+?)": \["(.+?)", "(.+?)", "(.+?)"\],$', re.MULTILINE)

COMPOSING = """(key) => document.querySelector("#class-dialog input").dispatchEvent(
    new KeyboardEvent("keydown", { key, isComposing: true, bubbles: true, cancelable: true }))"""


def rows():
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in CATALOGUES)


def catalogue():
    return {english: others for english, *others in ROW.findall(rows())}


def modules_of(name):
    """The modules that a page loads at once, by the one that its HTML names."""
    found, left = set(), {STATIC / name}
    while left:
        path = left.pop()
        found.add(path)
        imported = re.findall(r'^import .* from "\./(.+)";$', path.read_text(encoding="utf-8"), re.MULTILINE)
        left |= {STATIC / other for other in imported} - found
    return found


def said_in_code(modules=None):
    """What the modules say, all where none are given: t("..."), t`...`, hints, and the words of the keyboard map."""
    for path in modules or STATIC.glob("*.js"):
        if path.name in ("words.js", *CATALOGUES):
            continue
        code = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if not line.strip().startswith(("//", "*", "/*")))
        yield from re.findall(r'\b(?:t|hint)\("([^"]+)"', code)
        yield from re.findall(r'(?:keys: \[.*?\], words|group): "([^"]+)"', code)
        yield from (numbered(words) for words in re.findall(r"(?<!\w)t`((?:[^`$]|\$\{(?:[^{}]|\{[^{}]*\})*\})*)`", code))


def said_by_the_server():
    """The sentences of the stopping rules, which the dashboard says in its reader's language."""
    rules = (STATIC.parent / "stopping.py").read_text(encoding="utf-8").split("def suggestion")[1]
    return set(re.findall(r'(?<!")"([A-Z][^"]+ [^"]+)"(?!")', rules))


def numbered(template):
    """A template as the catalogue has it: {0}, {1} where code stands."""
    parts = re.split(r"\$\{(?:[^{}]|\{[^{}]*\})*\}", template)
    return parts[0] + "".join(f"{{{index}}}{part}" for index, part in enumerate(parts[1:]))


class InPage(HTMLParser):
    """Text and spoken attributes of the HTML."""

    def __init__(self):
        super().__init__()
        self.found, self.skipped = set(), False

    def handle_starttag(self, tag, attrs):
        self.skipped = tag in ("title", "script", "style")
        self.found |= {value for name, value in attrs if name in ("title", "aria-label", "placeholder")}

    def handle_data(self, data):
        words = " ".join(data.split())
        if not self.skipped and re.search("[A-Za-z]{2}", words):
            self.found.add(words)


def test_every_word_of_the_page_is_in_the_catalogue():
    page = InPage()
    for path in STATIC.glob("*.html"):
        page.feed(path.read_text(encoding="utf-8"))
    rules = said_by_the_server()
    said = page.found | set(said_in_code()) | rules
    assert len(said) > 250 and len(rules) == 8 and sorted(said - ENGLISH - catalogue().keys()) == []


def test_the_labelling_page_has_all_its_words_without_those_of_the_other_pages():
    page = InPage()
    page.feed((STATIC / "index.html").read_text(encoding="utf-8"))
    words = {english for english, *_ in ROW.findall((STATIC / "catalogue.js").read_text(encoding="utf-8"))}
    said = page.found | set(said_in_code(modules_of("main.js")))
    assert len(said) > 200 and sorted(said - ENGLISH - words) == []


@pytest.mark.parametrize(
    ("locale", "path", "catalogues"),
    [
        ("en-GB", "", set()),
        ("de-DE", "", {"catalogue.js", "catalogue.reasons.js"}),
        ("de-DE", "dashboard", {"catalogue.js", "catalogue.dashboard.js", "catalogue.reasons.js"}),
        ("de-DE", "pool", {"catalogue.js", "catalogue.dashboard.js", "catalogue.reasons.js"}),
        ("de-DE", "review", {"catalogue.js", "catalogue.dashboard.js", "catalogue.reasons.js"}),
        ("de-DE", "guidelines", {"catalogue.js", "catalogue.dashboard.js", "catalogue.reasons.js"}),
    ],
)
def test_a_page_loads_the_words_that_it_needs(waiting_study, browsing, locale, path, catalogues):
    with serving(waiting_study("full")) as port:
        page = browsing(locale=locale).new_page()
        asked = []
        page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
        page.goto(f"http://127.0.0.1:{port}/{path}")
        page.wait_for_load_state("networkidle")
        assert page.locator("#language option").count() == 4
        assert sorted(name for name in asked if name.startswith("catalogue")) == sorted(catalogues)


def test_without_a_catalogue_a_page_is_in_english(waiting_study, browsing):
    with serving(waiting_study("full")) as port:
        page = browsing(locale="de-DE").new_page()
        page.route("**/catalogue*.js", lambda route: route.abort())
        page.goto(f"http://127.0.0.1:{port}/")
        enter(page, "anna")
        page.locator("#queue > summary").wait_for()
        assert page.locator("#language option").count() == 4


def test_figures_are_written_as_the_language_writes_them(waiting_study, browsing):
    study = waiting_study("full")
    with serving(study) as port:
        page = browsing(locale="de-DE").new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        enter(page, "anna")
        page.locator("#queue > summary").click()
        page.locator("#queue-list .queued").first.wait_for()
        values = [words.partition(" · ")[2] for words in page.locator("#queue-list .state").all_inner_texts()]
        assert sum(bool(re.fullmatch(r"\d+,\d+", value)) for value in values) == 4 and not any("." in value for value in values)
        page.locator("#stage").focus()
        hand_in(page)
        assert re.fullmatch(r"Median \d+,\d s", page.locator("#pace").inner_text())


def test_each_row_has_three_languages_with_the_same_places():
    found = catalogue()
    assert len(found) == len(re.findall(r'^  ".*\],$', rows(), re.MULTILINE)) > 300
    for english, others in found.items():
        assert all(sorted(re.findall(r"\{\d\}", words)) == sorted(re.findall(r"\{\d\}", english)) for words in others), english


MAKERS = {"Reason", "RefusedError", "DeniedError", "OverError", "super().__init__"}  # what takes a code first


def sent_codes():
    """What stands for a code in each refusal that the server's modules make, as source: a string, or what gives one."""
    for path in STATIC.parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in MAKERS:
                yield ast.unparse(node.args[0])
    yield from (repr(code) for code in _NOT_NEXT.values())


def test_every_reason_that_the_server_can_send_is_in_every_language():
    found = {code: others for code, *others in ROW.findall((STATIC / "catalogue.reasons.js").read_text(encoding="utf-8"))}
    sent = set(sent_codes())
    elsewhere = {source for source in sent if not source.startswith("'")}
    assert {ast.literal_eval(source) for source in sent - elsewhere} == REASONS.keys() == found.keys()
    assert elsewhere == {"code", "str(self.reason)", "_NOT_NEXT[states[i]]"}
    for code, others in found.items():
        places = sorted(re.findall(r"\{\d\}", REASONS[code]))
        assert len(others) == 3 and all(sorted(re.findall(r"\{\d\}", words)) == places for words in others), code


def test_a_reason_without_a_sentence_cannot_be_made():
    with pytest.raises(KeyError):
        Reason("no_such_code")
    assert str(Reason("taken", "a{0}.jpg", "anna")) == "a{0}.jpg: anna is labelling it."


@pytest.mark.parametrize(
    ("locale", "words"),
    [("de-DE", "Dieses Bild gibt es in der Studie nicht."), ("zh-CN", "项目中没有这张图片。"), ("en-GB", "no such image in the study.")],
)
def test_a_refusal_is_said_in_the_readers_language(waiting_study, browsing, locale, words):
    with serving(waiting_study("full")) as port:
        page = browsing(locale=locale).new_page()
        page.goto(f"http://127.0.0.1:{port}/?open=%3Ci%3Enowhere.jpg")
        page.locator("dialog[open] input").fill("anna")
        page.keyboard.press("Enter")
        page.locator("#hint", has_text=words).wait_for()
        assert "<i>nowhere.jpg" in page.locator("#hint-words").inner_text()


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("de-DE", "Nichts fehlt, weiter"),
        ("zh-CN", "无遗漏,下一张"),
        ("es-MX", "No falta nada, siguiente"),
        ("fr-FR", "Nothing missed, next"),
    ],
)
def test_the_page_speaks_the_browsers_language(waiting_study, browsing, locale, words):
    study = waiting_study("full")
    with serving(study) as port:
        page = browsing(locale=locale).new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        enter(page, "anna")
        assert page.locator("#submit-words").inner_text() == words
        assert page.evaluate("document.documentElement.lang") == (locale[:2] if locale != "fr-FR" else "en")
        drag(page, record_of(study, shown_image(page)), (10, 10), (30, 30))
        assert len(study.store.history(hand_in(page))) == 1


def test_enter_of_an_input_method_chooses_no_class(waiting_study, person):
    with serving(waiting_study("full")) as port:
        page = person(port, "anna")
        page.keyboard.press("c")
        page.locator("#class-dialog[open]").wait_for()
        for key in ("ArrowDown", "Enter"):
            page.evaluate(COMPOSING, key)
        page.wait_for_timeout(50)
        first = page.locator("#class-dialog li").first
        assert page.locator("#class-dialog[open]").count() == 1 and first.get_attribute("aria-selected") == "true"
        page.keyboard.press("Enter")
        page.locator("#class-dialog").wait_for(state="hidden")


def test_a_language_is_chosen_and_stays(waiting_study, browsing):
    with serving(waiting_study("full")) as port:
        page = browsing().new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        enter(page, "anna")
        page.locator("#language").select_option("de")
        page.locator("#submit-words", has_text="Nichts fehlt, weiter").wait_for()
        page.reload()
        page.locator("#submit-words", has_text="Nichts fehlt, weiter").wait_for()
        page.keyboard.press("?")
        assert (
            "Annehmen" in page.locator("[data-action=accept]").inner_text()
            and "Die Box annehmen" in page.locator("#help-dialog").inner_text()
        )


def test_writing_from_right_to_left_does_not_break_the_page(waiting_study, browsing):
    study = waiting_study("full")
    with serving(study) as port:
        page = browsing().new_page()
        page.add_init_script("document.addEventListener('DOMContentLoaded', () => { document.documentElement.dir = 'rtl'; })")
        page.goto(f"http://127.0.0.1:{port}/")
        enter(page, "anna")
        stage, panel = page.locator("#stage").bounding_box(), page.locator("aside").bounding_box()
        assert panel["x"] + panel["width"] <= stage["x"] + 1 and page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        drag(page, record_of(study, shown_image(page)), (10, 12), (30, 44))
        assert study.store.annotation(hand_in(page)).boxes.xyxy[0].tolist() == pytest.approx([10, 12, 30, 44], abs=1.5)


def test_a_box_is_drawn_moved_sized_and_named_by_keys_alone(waiting_study, person):
    study = waiting_study("full")
    with serving(study) as port:
        page = person(port, "anna")
        page.keyboard.press("o")
        assert boxes_in_list(page).count() == 1
        for key in ("Shift+ArrowLeft", "Shift+ArrowUp", "ArrowUp", "Alt+ArrowRight", "Alt+Shift+ArrowDown", "4"):
            page.keyboard.press(key)
        before = boxes_in_list(page).count()
        annotation = study.store.annotation(hand_in(page))
        x1, y1, x2, y2 = annotation.boxes.xyxy[0].tolist()
        assert before == 1 and annotation.boxes.labels.tolist() == [3]
        assert (x1 + x2) / 2 == pytest.approx(48 - 10 + 0.5, abs=1) and (y1 + y2) / 2 == pytest.approx(48 - 11 + 5, abs=1)

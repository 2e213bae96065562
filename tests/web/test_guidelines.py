"""The guidelines: written by leads on the page or by file, read by all, without any markup of the writer's own; examples of each class."""

from dataclasses import replace
from threading import Barrier, Thread

import httpx
import pytest
import sqlalchemy as sa
from driving import HOST, seen, serving
from teams import BOX, OTHER, answer, on_each, server_of, team_study  # noqa: F401 (fixtures)

from boxwise.errors import BoxwiseError
from boxwise.records import Role, Split
from boxwise.web.answers import OverError
from boxwise.web.guidelines import FILE, examples, read_guidelines, rendered, version, write_guidelines

TOKEN = "a-token-of-some-length"
TRICKS = "<script>window.caught = true</script><img src=x onerror='window.caught = true'>"


@pytest.mark.parametrize(
    ("text", "never"),
    [
        ("<script>window.caught = 1</script>", "<script"),
        ("<img src=x onerror=alert(1)>", "<img"),
        ("a <b onclick='x()'>b</b>", "<b"),
        ("[here](javascript:alert(1))", 'href="javascript'),
        ("[here](data:text/html;base64,PHNjcmlwdD4=)", 'href="data'),
        ("<javascript:alert(1)>", 'href="javascript'),
        ("![far](http://elsewhere.example/a.png)", "<img"),
        ("```\n</code><script>x</script>\n```", "<script"),
        ("# <svg onload=x>", "<svg"),
        ("| a |\n|---|\n| <iframe src=x> |", "<iframe"),
    ],
)
def test_nothing_that_is_written_becomes_markup(text, never):
    assert never not in rendered(text)


def test_markdown_is_rendered_below_the_pages_heading():
    page = rendered("# Cats\n\n- **whole** tail\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[more](https://example.org)\n")
    for part in ("<h2>Cats</h2>", "<strong>whole</strong>", "<td>1</td>", 'href="https://example.org"'):
        assert part in page


def test_a_text_by_file_and_by_page_and_the_history_of_it(on_each):  # noqa: F811
    study = on_each("budget.initial=1")
    assert read_guidelines(study) == ""
    write_guidelines(study, "# Cats\n", instead_of=version(""), who="lea")
    assert (study.folder / FILE).read_bytes() == b"# Cats\n"
    (study.folder / FILE).write_text("by file", encoding="utf-8")
    other = server_of(study).study
    assert read_guidelines(other) == "by file"
    with pytest.raises(OverError, match="changed meanwhile"):
        write_guidelines(other, "over it", instead_of=version("# Cats\n"), who="zoe")
    assert read_guidelines(study) == "by file"
    assert [(event.kind, event.who, event.body) for event in other.events()] == [("guidelines changed", "lea", {"text": "# Cats\n"})]
    (study.folder / FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BoxwiseError, match="expected a text file"):
        read_guidelines(study)


def test_of_leads_who_save_at_one_moment_one_is_told_that_the_text_has_changed(on_each):  # noqa: F811
    study = on_each("budget.initial=1")
    for number in range(10):
        before, meet, said = version(read_guidelines(study)), Barrier(2), []

        def save(who, number=number, before=before, meet=meet, said=said):
            meet.wait()
            try:
                write_guidelines(study, f"{number} by {who}", instead_of=before, who=who)
                said.append("saved")
            except OverError as error:
                said.append(error.reason.code)

        both = [Thread(target=save, args=(who,)) for who in ("lea", "zoe")]
        for one in both:
            one.start()
        for one in both:
            one.join()
        assert sorted(said) == ["guidelines_changed", "saved"]


def test_examples_are_what_people_labelled_and_nothing_that_waits_for_a_second_person(team_study):  # noqa: F811
    study = team_study("labelling.double=1", "budget.initial=2")
    queue, (first, second) = server_of(study), study.ask().image_ids
    answer(queue, "anna", first, BOX, OTHER)
    assert not any(one["shots"] for one in examples(study))
    answer(queue, "ben", first, BOX, OTHER)
    answer(queue, "anna", second, BOX)
    found = {one["name"]: [shot["image_id"] for shot in one["shots"]] for one in examples(study)}
    assert {name: shots for name, shots in found.items() if shots} == {study.classes[3]: [first], study.classes[5]: [first]}
    assert all(study.record(i).split is Split.TRAIN for shots in found.values() for i in shots)


def test_examples_take_as_many_queries_for_many_images_as_for_few(team_study):  # noqa: F811
    study = team_study("budget.initial=8")
    queue, said = server_of(study), []
    sa.event.listen(study.store.engine, "before_cursor_execute", lambda *event: said.append(event[2]))
    counts = []
    for image_id in study.ask().image_ids:
        answer(queue, "anna", image_id, BOX, OTHER, replace(BOX, xyxy=(1.0, 2.0, 60.0, 70.0)))
        said.clear()
        shots = examples(study)[3]["shots"]
        counts.append(len(said))
    assert len(set(counts)) == 1 and len(shots) == 6
    assert shots[0] == {"image_id": image_id, "width": shots[0]["width"], "height": shots[0]["height"], "xyxy": [1.0, 2.0, 60.0, 70.0]}


@pytest.mark.parametrize(("role", "status"), [(Role.ANNOTATOR, 403), (Role.REVIEWER, 403), (Role.LEAD, 200)])
def test_all_read_and_leads_write(team_study, role, status):  # noqa: F811
    study = team_study("budget.initial=1")
    with serving(study, token=TOKEN) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as client:
        assert client.get("/api/guidelines").status_code == 401
        client.get("/", params={"person": study.team.invite("zoe", role, who="lea")})
        found = client.get("/api/guidelines").json()
        assert found["editable"] is (status == 200) and len(found["examples"]) == len(study.classes)
        body = {"annotator": "zoe", "text": "words", "version": found["version"]}
        assert client.put("/api/guidelines", json=body | {"annotator": "lea"}).status_code == 403
        assert client.put("/api/guidelines", json=body).status_code == status
        assert read_guidelines(study) == ("words" if status == 200 else "")
        assert client.put("/api/guidelines", json=body).status_code == (409 if status == 200 else 403)
        assert client.put("/api/guidelines", json=body | {"text": "x" * 50_001}).status_code == (422 if status == 200 else 403)


def test_in_the_browser_one_key_leads_to_what_the_lead_wrote(team_study, browsing):  # noqa: F811
    study = team_study("budget.initial=2")
    queue, first = server_of(study), study.ask().image_ids[0]
    answer(queue, "anna", first, BOX)
    with serving(study, token=TOKEN) as port:
        lead = browsing().new_page()
        lead.goto(f"http://{HOST}:{port}/guidelines?person={study.team.invite('lea', Role.LEAD, who='lea')}")
        lead.get_by_text("The lead has written no guidelines yet.").wait_for()
        lead.locator("#edit").click()
        lead.locator("#text").fill("# Tails\n\nBox the **whole** cat. " + TRICKS)
        lead.locator("#editing [type=submit]").click()
        lead.locator("#guidelines h2").get_by_text("Tails").wait_for()
        context = browsing()
        ben = context.new_page()
        ben.goto(f"http://{HOST}:{port}/?person={study.team.invite('ben', Role.ANNOTATOR, who='lea')}")
        seen(ben)
        with context.expect_page() as opened:
            ben.keyboard.press("r")
        page = opened.value
        page.locator("#guidelines strong").get_by_text("whole").wait_for()
        assert "<script>" in page.locator("#guidelines").inner_text() and page.evaluate("window.caught") is None
        assert page.locator("#guidelines :is(script, img)").count() == 0 and page.locator("#edit").is_hidden()
        assert page.locator(f"#examples svg[aria-label='{first}']").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

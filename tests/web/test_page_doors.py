"""How people come to the page: by a link from elsewhere, with two studies on one host, with copied tabs over plain HTTP."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from driving import HOST, enter, serving, shown_image

TOKEN = "a-token-of-some-length"


@pytest.fixture
def elsewhere(tmp_path):
    """A function from a link to the address of another site's page that holds it."""
    servers = []

    def site(link):
        (tmp_path / "mail.html").write_text(f'<!doctype html><title>mail</title><a href="{link}">label here</a>')
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/mail.html"

    yield site
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_link_on_another_site_opens_the_page(waiting_study, chromium, elsewhere):
    with serving(waiting_study("full"), token=TOKEN) as port:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(elsewhere(f"http://{HOST}:{port}/?token={TOKEN}"))
        page.locator("a").click()
        enter(page, "anna")
        assert page.url == f"http://{HOST}:{port}/"
        context.close()


def test_without_the_token_a_page_says_what_to_do_and_takes_it(waiting_study, browsing):
    with serving(waiting_study("full"), token=TOKEN) as port:
        page = browsing().new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        assert page.locator("h1").inner_text() == "Open this page with its link"
        page.locator("input[name=token]").fill(TOKEN)
        page.keyboard.press("Enter")
        enter(page, "anna")


def test_two_studies_on_one_host_stay_open_side_by_side(waiting_study, chromium):
    context = chromium.new_context()
    with serving(waiting_study("full"), token=TOKEN) as one, serving(waiting_study("review"), token=TOKEN + "2") as other:
        for port, token in ((one, TOKEN), (other, TOKEN + "2")):
            page = context.new_page()
            page.goto(f"http://{HOST}:{port}/?token={token}")
            if port == one:
                enter(page, "anna")
        first = context.pages[0]
        first.reload()
        first.locator("#editor").wait_for(state="visible")
    context.close()


def test_over_plain_http_a_copied_tab_has_an_image_of_its_own_and_a_reloaded_one_keeps_its(waiting_study, browsing):
    with serving(waiting_study("full")) as port:
        context = browsing()
        first = context.new_page()
        first.goto(f"http://{HOST}:{port}/")
        enter(first, "anna")
        assert first.evaluate("isSecureContext") is False and first.evaluate("navigator.locks") is None
        name, remembered = shown_image(first), first.evaluate("JSON.stringify(sessionStorage)")
        copy = context.new_page()
        copy.add_init_script(f"if (!sessionStorage.length) Object.assign(sessionStorage, {remembered})")
        copy.goto(f"http://{HOST}:{port}/")
        copy.locator("#editor").wait_for(state="visible")
        other = shown_image(copy)
        assert other != name
        first.wait_for_load_state("networkidle")  # a tab that still fetches ahead is handed what another gives back as it is reloaded
        copy.wait_for_load_state("networkidle")
        for page, image_id in ((first, name), (copy, other)):
            page.reload()
            page.locator("#editor").wait_for(state="visible")
            page.wait_for_load_state("networkidle")
            assert shown_image(page) == image_id

"""A real browser for the pages' tests: any Chromium that is found, driven through Playwright; without one they skip and say so."""

import functools
import os
import shutil
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import processes
import pytest
from driving import HOST, PATIENCE, enter

from boxwise.web import assistant

processes.fork_children(assistant)

# Names below .test lead to this machine, as plain HTTP from another one would: without what browsers keep for safe connections.
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--host-resolver-rules=MAP *.test 127.0.0.1"]
# The pages of a test trust each other: without processes of their own an opening takes 40 ms of processors less, of some 580.
_ARGUMENTS += ["--in-process-gpu", "--renderer-process-limit=1"]
# The first draws no window, and needs a third less of a processor for the same pages.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def _browser() -> str:
    """Path of the browser to drive; skips where there is none."""
    given = os.environ.get("BOXWISE_CHROMIUM")
    found = shutil.which(given) if given else next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        missing = f"BOXWISE_CHROMIUM is {given!r}, which is no program" if given else f"no {', '.join(_NAMES)} on the PATH"
        pytest.skip(f"THE PAGES ARE NOT TESTED: {missing}. Install Chromium or set BOXWISE_CHROMIUM to one.")
    return found


_default_context = functools.cache(ssl.create_default_context)


@pytest.fixture(autouse=True)
def _certificates_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of httpx reads 150 certificates, although the pages are plain HTTP; it took 20 ms each."""
    monkeypatch.setattr(ssl, "create_default_context", _default_context)


@pytest.fixture(scope="session")
def chromium() -> Iterator["Browser"]:  # type: ignore[name-defined]  # noqa: F821
    """A running Chromium; make a context of your own: `chromium.new_context()`."""
    playwright = pytest.importorskip("playwright.sync_api", reason="THE PAGES ARE NOT TESTED: install playwright")
    path = _browser()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def browsing(chromium):  # type: ignore[no-untyped-def]
    """A function that makes a browser of somebody's own. What its pages complain of, and what they ask of others, fails the test."""
    contexts, complaints, origins = [], [], set()

    def watch(page):  # type: ignore[no-untyped-def]
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if _is_complaint(message) else None)
        page.on("request", lambda request: origins.add(urlsplit(request.url)[:2]))

    def browser(**options):  # type: ignore[no-untyped-def]
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 720}} | options)
        context.on("page", watch)
        contexts.append(context)
        return context

    yield browser
    for context in contexts:
        context.close()
    assert not complaints
    assert {scheme for scheme, _ in origins} <= {"http", "data", "blob"}
    assert {host.partition(":")[0] for scheme, host in origins if scheme == "http"} <= {"127.0.0.1", HOST}
    assert len({host for scheme, host in origins if scheme == "http"}) <= 1, "the page asks other servers than its own"


def _is_complaint(message):  # type: ignore[no-untyped-def]
    """Whether the console holds an error of the page's own.

    A server that is gone or says 4xx is written there by the browser, and over plain HTTP a header that counts only where it is safe.
    """
    by_browser = ("Failed to load resource", "The Cross-Origin-Opener-Policy header has been ignored")
    return message.type in ("error", "warning") and not message.text.startswith(by_browser)


@pytest.fixture
def person(browsing):  # type: ignore[no-untyped-def]
    """A function that opens the labelling page in a browser of somebody's own."""

    def open_page(port, name):  # type: ignore[no-untyped-def]
        page = browsing().new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        enter(page, name)
        return page

    return open_page

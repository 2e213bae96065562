"""A real browser for the pages' tests: any Chromium that is found, driven through Playwright; without one they skip and say so."""

import os
import shutil
from collections.abc import Iterator

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def _browser() -> str:
    """Path of the browser to drive; skips where there is none."""
    given = os.environ.get("BOXWISE_CHROMIUM")
    found = shutil.which(given) if given else next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        missing = f"BOXWISE_CHROMIUM is {given!r}, which is no program" if given else f"no {', '.join(_NAMES)} on the PATH"
        pytest.skip(f"THE PAGES ARE NOT TESTED: {missing}. Install Chromium or set BOXWISE_CHROMIUM to one.")
    return found


@pytest.fixture(scope="session")
def chromium() -> Iterator["Browser"]:  # type: ignore[name-defined]  # noqa: F821
    """A running Chromium; make a context of your own: `chromium.new_context()`."""
    playwright = pytest.importorskip("playwright.sync_api", reason="THE PAGES ARE NOT TESTED: install playwright")
    path = _browser()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        yield browser
        browser.close()

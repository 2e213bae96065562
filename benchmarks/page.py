"""The labelling page itself in a real browser: how long until the first image is there, and how long from "next" to the next image.

    python benchmarks/page.py                              # 2,000 queued images, 20 page loads, 60 switches
    python benchmarks/page.py --images 200 --seconds-per-image 0.2

Starts `boxwise label` on a study of generated images and opens the page in Chromium through Playwright. A switch is timed within the
page, from the key to the frame in which the new image is painted; before each, the person looks for a moment, as people do, while the
page fetches ahead. Prints p50 and p95 with the bare GET of the same JPEG by httpx, in the same run, as baseline. The exit code is 1 when
a goal is missed (p95 of a load below 1 s, of a switch below 100 ms).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import httpx
import numpy as np
from labelling import link_of, make_study
from playwright.sync_api import Browser, Page, sync_playwright

GOALS = {"page load to first image": 1000.0, "switch to next image": 100.0}  # milliseconds, p95
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The image counts as painted in the frame after the one in which it is on the stage, decoded.
_PAINTED = """() => new Promise((done) => {
    const look = () => {
        const image = document.querySelector(".picture img"), name = document.querySelector("#image-name").textContent;
        const there = name && name !== window.last && image?.complete && image.naturalWidth && image.src.endsWith(name);
        if (!there) return requestAnimationFrame(look);
        requestAnimationFrame(() => { const frame = new MessageChannel(); frame.port1.onmessage = () => {
            window.last = name;
            done(performance.now() - (window.pressed ?? 0));
        }; frame.port2.postMessage(0); });
    };
    look();
})"""
_NOTE_KEY = "addEventListener('keyup', (event) => { if (event.key === ' ') window.pressed = event.timeStamp; }, true)"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--loads", type=int, default=20)
    parser.add_argument("--switches", type=int, default=60)
    parser.add_argument("--seconds-per-image", type=float, default=1.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = make_study(Path(folder), options.images)
        command = [sys.executable, "-m", "boxwise", "label", str(study), "--no-browser", "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as driver:
            link = link_of(server)
            browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"])
            loads = [load(browser, link, number) for number in range(options.loads)]
            switches = switch(browser, link, options.switches, options.seconds_per_image)
            baseline = bare_images(link, options.switches)
            browser.close()
            server.terminate()
    times = {"GET of a JPEG (baseline)": baseline, "page load to first image": loads, "switch to next image": switches}
    for name, found in times.items():
        p50, p95 = np.quantile(found, [0.5, 0.95])
        print(f"{name:25} {len(found):4} times  p50 {p50:7.1f} ms  p95 {p95:7.1f} ms  {p50 / np.median(baseline):6.1f} x baseline")
    missed = [name for name, goal in GOALS.items() if np.quantile(times[name], 0.95) >= goal]
    print(f"Missed: {', '.join(missed)}" if missed else "Every goal is met.")
    return int(bool(missed))


def chromium() -> str:
    """Path of the browser: BOXWISE_CHROMIUM, or the first that is found."""
    found = shutil.which(os.environ.get("BOXWISE_CHROMIUM", "")) or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        sys.exit(f"no {', '.join(_NAMES)} on the PATH: install Chromium or set BOXWISE_CHROMIUM to one")
    return found


def load(browser: Browser, link: str, number: int) -> float:
    """Milliseconds from opening the link, with nothing cached, until the first image is painted; for somebody known to the browser."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.add_init_script(f"localStorage.setItem('boxwise/annotator', JSON.stringify('loader {number}'))")
    page = context.new_page()
    page.goto(link, wait_until="commit")
    spent = float(page.evaluate(_PAINTED))
    page.close()  # gives its images back
    context.close()
    return spent


def switch(browser: Browser, link: str, count: int, looking: float) -> list[float]:
    """Milliseconds from the key that hands an image in until the next one is painted."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.add_init_script("localStorage.setItem('boxwise/annotator', JSON.stringify('anna'))")
    page = context.new_page()
    page.goto(link)
    page.evaluate(_PAINTED)
    page.evaluate(_NOTE_KEY)
    times = [_one_switch(page, looking) for _ in range(count)]
    context.close()
    return times


def _one_switch(page: Page, looking: float) -> float:
    page.wait_for_timeout(1000 * looking)
    page.locator("#stage[data-seen]").wait_for(state="attached")  # nothing is handed in before it was seen
    page.keyboard.press("Space")
    return float(page.evaluate(_PAINTED))


def bare_images(link: str, count: int) -> list[float]:
    """Milliseconds of fetching one JPEG after another."""
    with httpx.Client(base_url=link) as client:
        names = [item["image_id"] for item in client.get("/api/queue").json()["items"][:count]]
        times = []
        for name in names:
            started = perf_counter()
            client.get(f"/images/{name}").raise_for_status()
            times.append(1e3 * (perf_counter() - started))
    return times


if __name__ == "__main__":
    sys.exit(main())

"""The picture of the labelling page in the README: a study of digit scenes in round 1, the model's boxes to answer for.

python tools/screenshot.py docs/images/page.png        # a minute or two; needs Chromium and Playwright
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import boxwise
from boxwise.config import CostConfig
from boxwise.simulation.annotator import SimulatedAnnotator
from boxwise.store import LabellingStore
from boxwise.web.app import create_app
from boxwise.web.queue import LabelQueue
from boxwise.web.server import Server, listen

SETTINGS = (
    *("detector.name=tiny_ssd", "detector.imgsz=96", "detector.pretrained=false", "train.min_steps=900", "train.max_steps=900"),
    *("train.lr=0.02", "train.augment=flip", "scorer.vae.steps=200", "strategy.name=top_k", "budget.initial=200", "budget.per_round=40"),
    *("ask.mode=review", "ask.certain=0.9", "ask.uncertain=0.3"),
)


def waiting_study(folder: Path) -> boxwise.Study:
    """A study that waits for the labels of round 1."""
    boxwise.make_digits(folder / "digits", seed=7, images=600, imgsz=256)
    dataset = boxwise.read_dataset(folder / "digits")
    pool = {record.image_id for record in dataset.images if record.split is boxwise.Split.TRAIN}
    annotator = SimulatedAnnotator({name: boxes for name, boxes in dataset.labels.items() if name in pool}, CostConfig())
    hidden = replace(dataset, labels={name: boxes for name, boxes in dataset.labels.items() if name not in pool})
    study = boxwise.Study.create(folder / "study", hidden, config=boxwise.load_config(None, SETTINGS))
    study.ask()
    study.answer(annotator)
    study.run()
    return study


def take(study: boxwise.Study, target: Path) -> None:
    """The page as a person sees it who has just opened it."""
    address = listen("127.0.0.1", 0)
    app = create_app(LabelQueue(study, LabellingStore(study.store)), hosts={"127.0.0.1"})
    with Server(app, address), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = browser.new_context(viewport={"width": 1280, "height": 760}, device_scale_factor=1.5).new_page()
        page.goto(f"http://127.0.0.1:{address.port}/")
        page.locator("dialog[open] input").fill("anna")
        page.keyboard.press("Enter")
        page.locator("#editor").wait_for(state="visible")
        page.keyboard.press("Tab")  # the first question
        page.wait_for_timeout(1500)
        page.screenshot(path=target)
        browser.close()
    Image.open(target).convert("RGB").quantize(128).save(target, optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        take(waiting_study(Path(made)), Path(sys.argv[1]))

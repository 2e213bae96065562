"""How the tests drive the labelling page in a real browser: open it, point at pixels of the image, read what it shows."""

from contextlib import contextmanager

from boxwise.store import LabellingStore
from boxwise.web.app import create_app
from boxwise.web.queue import LEASE_SECONDS, LabelQueue
from boxwise.web.server import Server, listen

PATIENCE = 60_000  # milliseconds, only for a machine that is busy with something else
POLLING = 50  # milliseconds: a browser that is asked at each of its frames draws sixty a second
HOST = "boxwise.test"  # this machine, as others know it: a page from there is no secure context


@contextmanager
def serving(study, port=0, *, lease_seconds=LEASE_SECONDS, token=None):
    """The port of a server of the study's page."""
    address = listen("127.0.0.1", port)
    queue = LabelQueue(study, LabellingStore(study.store), lease_seconds=lease_seconds)
    app = create_app(queue, hosts={"127.0.0.1", HOST}, token=token)
    with Server(app, address):
        yield address.port
    app.state.assistant.close()


def enter(page, name):
    """Say who is labelling, and wait for an image."""
    page.locator("dialog[open] input").fill(name)
    page.keyboard.press("Enter")
    page.locator("#editor").wait_for(state="visible")
    seen(page)


def seen(page):
    """Wait until the image has been in sight for long enough to be handed in."""
    page.locator("#stage[data-seen]").wait_for(state="attached")


def shown_image(page):
    """The id of the image on the page."""
    return page.locator("#image-name").inner_text().strip()


def saved(page):
    page.locator("#saved[data-state=saved]").wait_for(state="attached")


def another(page, image_id):
    """Wait until another image than this one is shown, and seen; or that there is none."""
    page.wait_for_function(
        "name => (document.querySelector('#image-name').textContent !== name && document.querySelector('#stage').dataset.seen)"
        " || !document.querySelector('#waiting').hidden",
        arg=image_id,
        polling=POLLING,
    )


def spot(page, record, x, y):
    """Where a pixel of the image lies on the page."""
    box = page.locator(".picture").bounding_box()
    return box["x"] + x / record.width * box["width"], box["y"] + y / record.height * box["height"]


def drag(page, record, start, end):
    """Press the mouse at one pixel of the image and let it go at another."""
    page.mouse.move(*spot(page, record, *start))
    page.mouse.down()
    page.mouse.move(*spot(page, record, *end), steps=3)
    page.mouse.up()


def press_class(page, label, name):
    """Give the selected box a class: by its number, or by typing where it has none."""
    if label < 9:
        page.keyboard.press(str(label + 1))
        return
    page.keyboard.press("c")
    page.keyboard.type(name)
    page.keyboard.press("Enter")


def record_of(study, image_id):
    return next(record for record in study.store.images() if record.image_id == image_id)


def boxes_in_list(page):
    return page.locator("#boxes [role=option]")


def hand_in(page):
    """Space, until the next image is there and the answer acknowledged; the id of the image that was handed in."""
    seen(page)
    name = shown_image(page)
    page.keyboard.press("Space")
    another(page, name)
    saved(page)
    return name


def skip(page):
    """Put the image off for the first reason that is offered, until the next one is there and this is acknowledged; its id."""
    name = shown_image(page)
    page.keyboard.press("s")
    page.locator("#reason-dialog .preset").first.click()
    page.keyboard.press("Enter")
    another(page, name)
    saved(page)
    return name


def to_questions(page, study):
    """Hand images in until one with open questions is shown; its id and proposals."""
    while (name := shown_image(page)) not in study.proposals():
        hand_in(page)
    return name, study.proposals()[name]

"""What operates the page asks of it: whether it lives, whether it reaches the study, and the study's state as Prometheus reads it."""

import httpx
import pytest

from boxwise.store import Store
from boxwise.web.app import create_app
from boxwise.web.queue import LabelQueue
from boxwise.web.server import Server, listen

pytest.importorskip("prometheus_client")


@pytest.fixture
def page(waiting_study):
    """A client without the token, of a page that asks for one, and the page's study."""
    study = waiting_study("full")
    address = listen("127.0.0.1", 0, token="secret")
    app = create_app(LabelQueue(study, study.labelling), hosts={"127.0.0.1"}, token="secret")
    with Server(app, address), httpx.Client(base_url=f"http://127.0.0.1:{address.port}") as client:
        yield client, study


def test_probes_need_no_token_and_tell_nothing_of_the_study(page, monkeypatch):
    client, _ = page
    for path in ("/healthz", "/readyz"):
        assert client.get(path, headers={"Host": "10.0.0.7"}).json() == {"status": "ok"}
    assert client.post("/healthz").status_code == 401

    def gone(_self):
        raise OSError("a password or a path")

    monkeypatch.setattr(Store, "position", property(gone))
    assert client.get("/healthz").status_code == 200
    refused = client.get("/readyz")
    assert refused.status_code == 503 and "password" not in refused.text


def test_prometheus_reads_the_state_with_the_token(page):
    client, study = page
    assert client.get("/metrics").status_code == 401
    reply = client.get("/metrics", headers={"Authorization": "Bearer secret"})
    lines = dict(line.rsplit(" ", 1) for line in reply.text.splitlines() if not line.startswith("#"))
    assert reply.status_code == 200 and reply.headers["content-type"].startswith("text/plain")
    assert float(lines["boxwise_round"]) == 1 and float(lines["boxwise_done"]) == 0
    assert float(lines["boxwise_waiting_images"]) == len(study.ask().items) == 5
    assert float(lines['boxwise_images{use="pool"}']) == len(study.pool())
    assert float(lines['boxwise_val_ap{iou="50"}']) == pytest.approx(study.round(0).evaluate.val["ap50"])

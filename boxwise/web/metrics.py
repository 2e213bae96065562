"""The study's state as Prometheus reads it: round, images, labour, quality, asked of the store at each scrape.

Returns the text of one scrape. Needs the extra `metrics`; behind the page's token as everything else.
"""

from __future__ import annotations

from collections.abc import Iterator

from boxwise.errors import BoxwiseError
from boxwise.records import Phase, Split
from boxwise.study import Study

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(study: Study) -> bytes:
    """One scrape. Raises BoxwiseError where prometheus-client is not installed."""
    try:
        from prometheus_client import CollectorRegistry, Gauge, generate_latest
    except ModuleNotFoundError:
        raise BoxwiseError("/metrics needs prometheus-client. Install it: pip install 'boxwise[metrics]'.") from None
    registry = CollectorRegistry()
    for name, about, label, values in _gauges(study):
        gauge = Gauge(f"boxwise_{name}", about, [label] if label else [], registry=registry)
        for key, value in values.items():
            (gauge.labels(key) if label else gauge).set(value)
    return bytes(generate_latest(registry))


def _gauges(study: Study) -> Iterator[tuple[str, str, str, dict[str, float]]]:
    """(name, what it is, name of its label or "", value by label)."""
    number, phase = study.position
    images: dict[str, float] = {
        "pool": study.pool_size(),
        "labelled": study.labelled_count(Split.TRAIN),
        "val": study.image_count(Split.VAL),
        "quarantined": len(study.quarantined()),
    }
    yield "round", "the round that the study is in", "", {"": number}
    yield "done", "1 once the study is done", "", {"": phase is Phase.DONE}
    yield "images", "images by what they are used for", "use", images
    yield "waiting_images", "images that wait for labels now", "", {"": study.waiting_count(number)}
    yield "labour_seconds", "seconds that labelling has taken", "split", {s.value: study.seconds(s) for s in (Split.TRAIN, Split.VAL)}
    val = next((val for one in reversed(study.rounds()) if (val := one.evaluate.val)), None)
    if val:
        yield "val_ap", "AP on val of the last evaluated round, from 0 to 1", "iou", {"50:95": val["ap"], "50": val["ap50"]}

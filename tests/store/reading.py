"""What a store answers to every question that any version of it could be asked, as JSON: what a migration must leave as it was."""

from typing import Any

from boxwise.jsonable import boxes_to_json, plain
from boxwise.records import Annotation, Split
from boxwise.store import HistoryEntry, LabellingStore, Store


def answers_of(store: Store) -> dict[str, Any]:
    """Images, current labels, history, queries, facts, labour, and the leases, drafts and skips of labelling."""
    labelling, images = LabellingStore(store), [*store.images(), *(r for i in store.quarantined() if (r := store.record(i)))]
    answers = {
        "facts_of_study": {key: store.get(key) for key in ("classes", "class_ids", "findings", "position")},
        "images": [[r.image_id, r.uri, r.width, r.height, r.split, r.source_id] for r in images],
        "pool": [record.image_id for record in store.pool()],
        "quarantined": store.quarantined(),
        "labels": {split: {i: _annotation(a) for i, a in store.annotations(split).items()} for split in Split},
        "history": {r.image_id: [_entry(entry) for entry in store.history(r.image_id)] for r in images},
        "queries": {n: [[i.image_id, i.utility, i.terms, i.split, i.box_ids, i.probability] for i in store.query(n).items] for n in (0, 1)},
        "waiting": sorted(store.waiting(1)),
        "facts": store.facts(),
        "seconds": store.seconds(Split.TRAIN),
        "leases": {i: [lease.annotator, lease.until] for i, lease in labelling.leases(at=0.0).items()},
        "drafts": {i: [d.revision, d.document] for i in store.query(1).image_ids if (d := labelling.draft(i, 1, "ann"))},
        "skipped": labelling.skipped(1),
        "answers": {key: labelling.answer(key) for key in ("answer-1", "answer-2")},
    }
    return plain({key: {str(k): v for k, v in value.items()} if isinstance(value, dict) else value for key, value in answers.items()})


def _entry(entry: HistoryEntry) -> list[Any]:
    return [
        entry.annotator,
        entry.at,
        _annotation(entry.annotation),
        [[v.action, v.box_id, v.xyxy, v.label, v.seconds] for v in entry.verdicts],
    ]


def _annotation(a: Annotation) -> list[Any]:
    return [boxes_to_json(a.boxes), a.sources, a.complete, a.rejected, a.round]

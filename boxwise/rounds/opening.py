"""Images that joined by a list are opened when they are first asked about: size and fingerprint are taken down, the unfit are named.

Knows nothing of why they were chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from boxwise.data.formats.listing import Listed, check_images
from boxwise.data.presence import check_place
from boxwise.store import Store


def open_first(store: Store, image_ids: Iterable[str]) -> dict[str, str]:
    """Read those of the images that were never opened, each whole; image_id → what is wrong with it, of the others nothing.

    Raises ImageStoreError, and keeps nothing, where it is not the images that are at fault but the place where they lie.
    """
    unopened = {record.image_id: record for record in store.records(image_ids) if not record.measured}
    if not unopened:
        return {}
    checked = check_images([Listed(record.image_id, record.uri) for record in unopened.values()], verify=True)
    faults = {str(finding.image_id): finding.message for finding in checked.findings}
    for image_id in faults:
        check_place(unopened[image_id])
    store.measured(
        replace(unopened[now.image_id], width=now.width, height=now.height, digest=now.digest, stamp=now.stamp) for now in checked.records
    )
    return faults

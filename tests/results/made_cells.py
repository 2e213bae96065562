"""Cells made by hand: AP, AP50 and costs of each round."""

from collections.abc import Sequence

from made_rounds import made_round

from boxwise.results.facts import Cell

SECONDS = 40.0  # an image


def cell(
    arm: str, seed: int, ap: Sequence[float], images: Sequence[int], *, role="arm", train=None, fidelity=None, val=0, seconds=SECONDS
) -> Cell:
    """AP50 is twice the AP; five boxes an image, and so many seconds. train, fidelity: further facts, one a round."""
    rounds = []
    for number, (reached, count) in enumerate(zip(ap, images, strict=True)):
        spent = {"images": count, "boxes": 5 * count, "seconds": seconds * count}
        paid = {"val_images": val, "val_boxes": 5 * val, "val_seconds": SECONDS * val}
        metrics = {"ap": reached, "ap50": 2 * reached}
        facts = {"annotate": spent | paid, "evaluate": {"test": metrics, "val": metrics}, "train": {"steps": 100}}
        facts |= {"train": {"steps": 100, "steps_behind": train[number]}} if train else {}
        facts |= {"audit": {"fidelity": fidelity[number]}} if fidelity else {}
        rounds.append(made_round(number, facts))
    return Cell(arm, seed, folder=None, config={}, classes=("a",), rounds=tuple(rounds), role=role)

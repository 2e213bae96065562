"""What a report is made of: the facts of finished rounds, exactly as the store holds them.

Returns learning curves and small look-ups for the tables and charts; any phase may be missing while a study is unfinished.
Knows nothing of stores, detectors or HTML.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwise.artifacts.facts import AnnotateFacts, Round, stopping_aps
from boxwise.artifacts.round_folder import RoundFolder, round_folder
from boxwise.boxes import Boxes
from boxwise.evaluation.curves import AXES, CellCurve
from boxwise.evaluation.stopping import ApShift
from boxwise.records import Phase
from boxwise.registry import Role

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """One study, or one arm × seed of a simulation.

    folder: where `rounds/round_NN/` with the artefacts lies.
    role: what the arm is there for; what is no strategy that one could use is marked wherever it is shown. A ceiling labels the whole
    pool at once: a line to measure the others by, with no curve of its own.
    images, labels: files of the images chosen and the boxes the annotator gave them, by image_id (training images only).
    by_model: which of these boxes no person answered for, bool [N] by image_id.
    self_labels: how right the model's own labels were, by round, as simulation judged them by ground truth; empty in a real study.
    """

    arm: str
    seed: int
    folder: Path
    config: Mapping[str, Any]
    classes: tuple[str, ...]
    rounds: tuple[Round, ...]
    role: Role = "arm"
    images: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Boxes] = field(default_factory=dict)
    by_model: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    self_labels: Mapping[str, Facts] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The arm's name as shown to readers."""
        return self.arm if self.role == "arm" else f"{self.arm} ({self.role})"

    @property
    def finished(self) -> bool:
        """Whether the study has come to its end."""
        return any(r.ended for r in self.rounds)

    @property
    def ask(self) -> str:
        """What a person was asked about an image; studies older than the choice drew everything."""
        return str((self.config.get("ask") or {}).get("mode", "full"))

    @property
    def unit(self) -> str:
        """What the budget of a round counts."""
        return str((self.config.get("budget") or {}).get("unit", "images"))

    @property
    def policy(self) -> str:
        """Which labels each training saw."""
        return str((self.config.get("policy") or {}).get("name", "all_labeled"))

    @property
    def cooperates(self) -> bool:
        """Whether there is anything to tell of who labelled what beyond "a person, everything"."""
        measured = any(r.evaluate.val_parts or r.audit.lure for r in self.rounds)
        return self.ask != "full" or self.policy != "all_labeled" or measured

    def files(self, round_index: int) -> RoundFolder:
        """The files of a round; a step that left none leaves the path of one that does not exist."""
        return round_folder(self.folder, round_index)

    def evaluated(self, split: str) -> list[Round]:
        """The rounds with metrics on `split` and known costs, in order."""
        return [r for r in self.rounds if r.metrics(split) and r.done(Phase.ANNOTATE)]

    def last_metrics(self, split: str) -> Facts | None:
        """The metrics of the last evaluated round."""
        rounds = self.evaluated(split)
        return rounds[-1].metrics(split) if rounds else None


def number(value: Any) -> float:
    """A JSON number as float; NaN for None, as JSON cannot hold NaN."""
    return math.nan if value is None else float(value)


def judged_on(cells: Iterable[Cell], wanted: str) -> str:
    """The split the report reads: `wanted` if any cell was evaluated on it, otherwise val."""
    return wanted if any(cell.evaluated(wanted) for cell in cells) else "val"


def curve(cell: Cell, split: str) -> CellCurve:
    """The learning curve of one cell over its evaluated rounds; costs are cumulative and never fall, as labour is not given back."""
    rounds = cell.evaluated(split)
    spent = [r.annotate for r in rounds]
    metrics = [r.metrics(split) or {} for r in rounds]
    return CellCurve(
        arm=cell.arm,
        seed=cell.seed,
        images=_so_far([number(s.images) for s in spent]),
        boxes=_so_far([number(s.boxes) for s in spent]),
        seconds=_so_far([number(s.seconds) for s in spent]),
        ap=[number(m.get("ap")) for m in metrics],
        ap50=[number(m.get("ap50")) for m in metrics],
        val={axis: _so_far([number(getattr(s, f"val_{axis}") or 0) for s in spent]) for axis in AXES},
        unit=cell.unit,
    )


def _so_far(costs: Sequence[float]) -> list[float]:
    """The running maximum: corrected labels can leave fewer boxes than were drawn."""
    return np.fmax.accumulate(costs).tolist() if costs else []


def ap_shifts(cell: Cell) -> dict[int, float]:
    """The AP shift that the stopping rule sees after each round; rounds before its window is full are absent."""
    shifts, ap_range = {}, int((cell.config.get("stop") or {}).get("ap_range", 4))
    for count, one_round in enumerate(cell.rounds, start=1):
        shift = ApShift(ap_range, history=stopping_aps(cell.rounds[:count]).values()).shift
        if one_round.evaluate.stopping_ap is not None and shift is not None:
            shifts[one_round.round] = shift
    return shifts


def time_saved(spent: AnnotateFacts) -> tuple[float, float]:
    """(seconds, share) that the facts of an annotate phase say were saved against drawing the same boxes by hand; NaN where unknown."""
    by_hand, seconds = number(spent.by_hand_seconds), number(spent.seconds)
    return by_hand - seconds, (by_hand - seconds) / by_hand if by_hand > 0 else math.nan


def mean_value(values: Mapping[str, Any] | None) -> float:
    """The mean over images of a fact by image_id; NaN where nothing is known."""
    finite = [value for value in map(number, (values or {}).values()) if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan


def hardest(cell: Cell, one_round: Round) -> tuple[str, list[tuple[str, float]]]:
    """What the round's labelled images are judged by, and (image_id, value) of each, hardest first.

    By true loss where it was measured for all of them, else by AL ratio: no loss is known of images with boxes by the model. Images
    asked about again later are left out: their labels are no longer those of the round.
    """
    later = {item.image_id for r in cell.rounds if r.round > one_round.round for item in r.items}
    losses, ratios = one_round.audit.true_losses, one_round.compose.al_ratio
    by_loss = cell.ask == "full" or (losses and ratios.keys() <= losses.keys())
    values = losses if by_loss else ratios
    pairs = [(image_id, number(value)) for image_id, value in values.items() if image_id in cell.labels and image_id not in later]
    ranked = sorted((pair for pair in pairs if math.isfinite(pair[1])), key=lambda pair: -pair[1])
    return "true loss" if by_loss else "AL ratio", ranked


def arms_of(cells: Iterable[Cell], baseline: str) -> list[str]:
    """The arms in order of appearance, the baseline last, after it floors, upper bounds and ceilings."""
    order = ("arm", "floor", "upper bound", "ceiling")
    roles = {cell.arm: cell.role for cell in cells}
    return sorted(roles, key=lambda arm: (order.index(roles[arm]), arm == baseline))


def cells_of(cells: Sequence[Cell], arm: str) -> list[Cell]:
    """The cells of an arm by seed."""
    return sorted((cell for cell in cells if cell.arm == arm), key=lambda cell: cell.seed)


def competing(cells: Iterable[Cell]) -> list[Cell]:
    """The cells with a learning curve: all but those of ceilings."""
    return [cell for cell in cells if cell.role != "ceiling"]


def ceiling_ap(cells: Iterable[Cell], split: str, metric: str = "ap") -> float:
    """Mean quality over seeds when the whole pool is labelled; NaN where no such arm is finished."""
    whole = (cell.evaluated(split) for cell in cells if cell.role == "ceiling")
    found = [number((rounds[-1].metrics(split) or {}).get(metric)) for rounds in whole if len(rounds) > 1]
    return float(np.mean(found)) if found else math.nan


def upper_bounds(cells: Iterable[Cell]) -> list[Cell]:
    """One cell of every arm that looks at ground truth."""
    return list({cell.arm: cell for cell in cells if cell.role == "upper bound"}.values())


def train_losses(one_round: Round) -> list[str]:
    """The names of the loss terms in a round's training history, in order of appearance."""
    names = (name for entry in one_round.train.history for name in entry)
    return [name for name in dict.fromkeys(names) if name not in ("step", "lr", "ap")]

"""The simulated annotator: the only place where ground truth of the pool lives.

Answers as a person would, by IoU and class, each act charged in seconds, with the slips a person makes where asked for.
Knows nothing of scores, rounds or who chose the image. Only `simulation/` imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from boxwise.boxes import Boxes, FloatArray, iou
from boxwise.config import AnnotatorConfig, CostConfig
from boxwise.errors import BoxwiseError
from boxwise.evaluation.cost import charge
from boxwise.evaluation.matching import greedy_pairs
from boxwise.records import Action, Proposals, QueryItem, Verdict

COVERS_IOU = 0.5
_MOST_JITTER = 0.45  # share of its side by which a drawn edge errs at most, so that two edges never meet


class SimulatedAnnotator:
    """Answers for any image it is asked about from its true boxes.

    truths: image_id → every object. class_count: how many classes a slip may choose from; 0: up to the largest label.
    sizes: image_id → (width, height) in pixels; where known, jittered boxes stay inside the image.
    Slips are drawn from (seed, image, round of its settled labels) alone, so they depend neither on the order of the images nor on
    other arms; an object's own slips do not depend on what was suggested, and an image asked about again is answered anew.
    """

    name = "simulated"

    def __init__(
        self,
        truths: Mapping[str, Boxes],
        cost: CostConfig,
        habits: AnnotatorConfig = AnnotatorConfig(),
        *,
        seed: int = 0,
        class_count: int = 0,
        sizes: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        self._truths = dict(truths)
        self._cost = cost
        self._habits = habits
        self._seed = seed
        self._class_count = class_count or max((int(boxes.labels.max()) + 1 for boxes in truths.values() if len(boxes)), default=0)
        self._sizes = dict(sizes or {})

    def annotate(self, item: QueryItem, proposals: Proposals | None = None) -> tuple[tuple[Verdict, ...], float]:
        """The verdicts on one image and all seconds spent on it.

        The boxes asked about are answered in order of falling score. Of a whole image (`item.box_ids` is None) those are the uncertain
        ones; then it is looked over once, wrong certain boxes may be noticed, and every object that no box covers is drawn.
        Raises BoxwiseError when a box is asked about that is not among the proposals.
        """
        proposals = proposals or Proposals(item.image_id, Boxes.empty(), np.zeros(0, bool))
        truth, asked, whole = self._truths[item.image_id], _asked(item, proposals), item.box_ids is None
        slips = self._slips(truth, proposals)
        answering = _Answering(truth, proposals, slips, self._habits.accept_iou, self._cost)
        answering.accept(proposals.certain & ~asked)
        for row in _by_score(proposals.boxes, asked):
            answering.answer(row, accepts=bool(slips.accepts[row]))
        if whole:
            answering.look_over(np.flatnonzero(proposals.certain))
        look = self._cost.look if whole else 0.0  # due even where nothing is found
        return tuple(answering.verdicts), look + sum(verdict.seconds for verdict in answering.verdicts)

    def reveal(self, image_id: str) -> Boxes:
        """Ground truth for the `oracle_loss` arm, an upper bound that no real study can have."""
        return self._truths[image_id]

    def _slips(self, truth: Boxes, proposals: Proposals) -> _Slips:
        """All that may go wrong, drawn at once and the objects' first, so that no draw depends on an answer or on what was suggested."""
        rng, habits, objects, suggested = _rng(self._seed, proposals), self._habits, len(truth), len(proposals.boxes)
        noise, overlooked, mistaken = rng.normal(size=(objects, 4)), rng.random(objects), rng.random(objects)
        steps = rng.integers(1, max(self._class_count, 2), objects)
        another = (truth.labels + steps) % self._class_count if self._class_count > 1 else truth.labels
        size = self._sizes.get(proposals.image_id)
        first = _first_of_region(truth)
        of_all_classes = np.bincount(first, minlength=objects)[first] > 1
        noise, overlooked = noise[first], overlooked[first]
        return _Slips(
            xyxy=_jittered(truth.xyxy, habits.jitter * noise, size) if habits.jitter else truth.xyxy,
            labels=np.where((mistaken < habits.wrong_class) & ~of_all_classes, another, truth.labels),
            overlooked=overlooked < habits.miss,
            accepts=rng.random(suggested) < habits.accept_wrong,
            notices=rng.random(suggested) < habits.notice,
        )


@dataclass(frozen=True)
class _Slips:
    """What this person does with each of M objects and N proposals; without habits exactly what is true.

    xyxy: float32 [M, 4], each object as drawn. labels: int64 [M], the class given to it. overlooked: bool [M].
    accepts: bool [N], kept though wrong. notices: bool [N], seen to be wrong though certain.
    """

    xyxy: FloatArray
    labels: NDArray[np.int64]
    overlooked: NDArray[np.bool_]
    accepts: NDArray[np.bool_]
    notices: NDArray[np.bool_]


class _Answering:
    """One image being answered: its objects that have no box yet, and the verdicts so far."""

    def __init__(self, truth: Boxes, proposals: Proposals, slips: _Slips, accept_iou: float, cost: CostConfig) -> None:
        self.verdicts: list[Verdict] = []
        self._truth, self._boxes, self._slips, self._cost = truth, proposals.boxes, slips, cost
        self._ids = _ids(proposals.boxes)
        self._overlap = iou(proposals.boxes.xyxy, truth.xyxy)
        self._same_class = proposals.boxes.labels[:, None] == truth.labels[None]
        self._fits = self._overlap >= np.float32(accept_iou)
        self._free = np.ones(len(truth), bool)
        self._region, self._drawn = _first_of_region(truth), set[int]()  # all crowds of a region are drawn by one act
        self._is_an_object = np.zeros(len(proposals.boxes), bool)
        if proposals.settled is not None:
            self._claim(iou(proposals.settled.boxes.xyxy[~proposals.settled.by_model], truth.xyxy))

    def accept(self, certain: NDArray[np.bool_]) -> None:
        """Each certain box (bool [N]) counts for an object of its class that it covers, if there is one."""
        for row, _ in self._claim(np.where(certain[:, None] & self._same_class, self._overlap, 0)):
            self._is_an_object[row] = True

    def answer(self, row: int, *, accepts: bool) -> None:
        """One verdict on a proposal: what it takes to make it a free object's box. accepts: kept as it is even if it is wrong."""
        found = self._object_of(row)
        if found is None:
            self._add(Action.KEEP if accepts else Action.DELETE, row, None)
            return
        self._free[found] = False
        self._is_an_object[row] = True
        fits, label = bool(self._fits[row, found]), int(self._slips.labels[found])
        right = fits and bool(self._same_class[row, found])
        if (accepts and not right) or (fits and label == self._boxes.labels[row]):
            self._add(Action.KEEP, row, found)
        elif fits:
            self._add(Action.RELABEL, row, found, label=label)
        else:
            self._add(Action.MOVE, row, found, label=None if label == self._boxes.labels[row] else label)

    def look_over(self, certain: NDArray[np.int64]) -> None:
        """Of the whole image: notice wrong boxes among the certain rows, then draw every object that no box covers."""
        wrong = ~((self._overlap >= np.float32(COVERS_IOU)) & self._same_class).any(axis=1)
        noticed = [int(row) for row in certain if wrong[row] and self._slips.notices[row]]
        for row in noticed:
            self.answer(row, accepts=False)
        unseen = np.setdiff1d(certain, noticed)
        self._claim(self._overlap[unseen[~self._is_an_object[unseen]]])
        for found in np.flatnonzero(self._free & ~self._slips.overlooked):
            self._add(Action.ADD, None, int(found), label=int(self._slips.labels[found]))

    def _claim(self, overlap: FloatArray) -> list[tuple[int, int]]:
        """Boxes take the free objects they cover, one each, by IoU [N, M]; the pairs."""
        pairs = greedy_pairs(np.where(self._free, overlap, 0), COVERS_IOU)
        for _, found in pairs:
            self._free[found] = False
        return pairs

    def _object_of(self, row: int) -> int | None:
        """The free object that a proposal is taken to mean: the best of its class that it fits, else the best it covers."""
        fitting = self._free & self._fits[row] & self._same_class[row]
        covered = self._free & (self._overlap[row] >= np.float32(COVERS_IOU))
        candidates = np.flatnonzero(fitting if fitting.any() else covered)
        if not len(candidates):
            return None
        return int(max(candidates, key=lambda found: (self._overlap[row, found], self._same_class[row, found])))

    def _add(self, action: Action, row: int | None, found: int | None, *, label: int | None = None) -> None:
        """One verdict on proposal `row` (None: no proposal) that gives it, or draws, the box of object `found` (None: no object)."""
        draws = action in (Action.ADD, Action.MOVE)
        xyxy = tuple(self._slips.xyxy[found].tolist()) if draws else None
        flags = (_flag(self._truth.difficult, found), _flag(self._truth.crowd, found))
        seconds = charge(action, self._cost)
        if action is Action.ADD and found is not None:
            seconds = 0.0 if self._region[found] in self._drawn else seconds
            self._drawn.add(int(self._region[found]))
        self.verdicts.append(Verdict(action, self._ids[row] if row is not None else "", xyxy, label, seconds, *flags))


def _first_of_region(truth: Boxes) -> NDArray[np.int64]:
    """The row of each box; of the crowds of a region, which are drawn at once, of the first of them; int64 [M]."""
    rows = np.arange(len(truth))
    first: dict[bytes, int] = {}
    for row in [] if truth.crowd is None else np.flatnonzero(truth.crowd):
        rows[row] = first.setdefault(truth.xyxy[row].tobytes(), int(row))
    return rows


def _asked(item: QueryItem, proposals: Proposals) -> NDArray[np.bool_]:
    """Which proposals a verdict is wanted on; bool [N]."""
    if item.box_ids is None:
        return ~proposals.certain
    ids = _ids(proposals.boxes)
    unknown = sorted(set(item.box_ids) - set(ids))
    if unknown:
        raise BoxwiseError(f"{item.image_id}: asked about box {unknown[0]!r}, expected one of its {len(ids)} proposals.")
    return np.array([box_id in item.box_ids for box_id in ids], bool)


def _ids(boxes: Boxes) -> list[str]:
    return [] if boxes.ids is None else [str(box_id) for box_id in boxes.ids]


def _by_score(boxes: Boxes, asked: NDArray[np.bool_]) -> list[int]:
    """The rows asked about, highest score first."""
    order = np.arange(len(boxes)) if boxes.scores is None else np.argsort(-boxes.scores, kind="stable")
    return [int(row) for row in order if asked[row]]


def _flag(column: NDArray[np.bool_] | None, row: int | None) -> bool:
    return column is not None and row is not None and bool(column[row])


def _rng(seed: int, proposals: Proposals) -> Generator:
    asked_after = 0 if proposals.settled is None else proposals.settled.round + 1
    return default_rng([seed, crc32(proposals.image_id.encode()), asked_after])


def _jittered(xyxy: FloatArray, noise: NDArray[np.float64], size: tuple[int, int] | None) -> FloatArray:
    """Boxes whose edges err by `noise` sides, valid still and inside the image where its (width, height) is known; float32 [M, 4]."""
    sides = np.tile(xyxy[:, 2:] - xyxy[:, :2], 2)
    width, height = size or (np.inf, np.inf)
    erring = xyxy + np.clip(noise, -_MOST_JITTER, _MOST_JITTER) * sides
    return np.clip(erring, 0, [width, height, width, height]).astype(np.float32)

from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng

from boxwise.annotation.comparison import same_labels, verdicts_from
from boxwise.annotation.verdicts import annotation_of, settled_id
from boxwise.boxes import Boxes
from boxwise.config import CostConfig
from boxwise.records import Action, Annotation, Proposals, Source, Verdict

COST = CostConfig(draw=1, verify=2, correct=4, delete=8)
PLACE = [10, 10, 50, 50]


def one(*, certain: bool = False, place=PLACE) -> Proposals:
    return Proposals("i", Boxes([place], [0], scores=[0.6], ids=["p"]), np.array([certain]))


def settled(boxes: Boxes) -> Proposals:
    earlier = Annotation("i", boxes, (Source.HUMAN,) * len(boxes), complete=True)
    return Proposals("i", Boxes.empty(), np.zeros(0, bool), earlier)


class TestOneProposal:
    def test_handed_back_as_shown_it_was_kept(self):
        assert verdicts_from(Boxes([PLACE], [0]), one(), COST) == (Verdict(Action.KEEP, "p", seconds=2),)

    def test_a_certain_one_handed_back_needed_no_act(self):
        assert verdicts_from(Boxes([PLACE], [0]), one(certain=True), COST) == ()

    @pytest.mark.parametrize("certain", [False, True])
    def test_moved(self, certain):
        verdicts = verdicts_from(Boxes([[10, 10, 50, 46]], [0]), one(certain=certain), COST)
        assert verdicts == (Verdict(Action.MOVE, "p", (10, 10, 50, 46), None, 4),)

    @pytest.mark.parametrize("certain", [False, True])
    def test_renamed(self, certain):
        assert verdicts_from(Boxes([PLACE], [3]), one(certain=certain), COST) == (Verdict(Action.RELABEL, "p", None, 3, 4),)

    def test_moved_and_renamed(self):
        assert verdicts_from(Boxes([[10, 10, 50, 46]], [3]), one(), COST) == (Verdict(Action.MOVE, "p", (10, 10, 50, 46), 3, 4),)

    @pytest.mark.parametrize("certain", [False, True])
    def test_absent_from_the_file_it_was_deleted(self, certain):
        assert verdicts_from(Boxes.empty(), one(certain=certain), COST) == (Verdict(Action.DELETE, "p", seconds=8),)

    def test_a_box_elsewhere_was_added(self):
        verdicts = verdicts_from(Boxes([[10, 10, 50, 29]], [0], difficult=[True]), one(), COST)
        assert verdicts == (Verdict(Action.ADD, "", (10, 10, 50, 29), 0, 1, difficult=True), Verdict(Action.DELETE, "p", seconds=8))

    def test_a_region_that_is_ignored_is_drawn_once_for_all_classes(self):
        acts = verdicts_from(Boxes([[0, 0, 9, 9]] * 3, range(3), crowd=[True] * 3), one(), CostConfig())
        assert [act.seconds for act in acts if act.action is Action.ADD] == [7, 0, 0]

    def test_half_a_pixel_is_the_rounding_of_a_file(self):
        tiny = one(place=[10, 10, 11, 11])
        assert verdicts_from(Boxes([[10.5, 10.5, 11.5, 11.5]], [0]), tiny, COST) == (Verdict(Action.KEEP, "p", seconds=2),)
        assert verdicts_from(Boxes([[10.6, 10, 11.6, 11]], [0]), tiny, COST)[0].action is Action.ADD

    def test_a_hundredth_of_a_large_box_is_the_rounding_of_a_file(self):
        large = one(place=[0, 0, 1000, 1000])
        assert verdicts_from(Boxes([[0, 0, 1000, 985]], [0]), large, COST)[0].action is Action.KEEP
        assert verdicts_from(Boxes([[0, 0, 1000, 975]], [0]), large, COST)[0].action is Action.MOVE

    def test_a_certain_one_marked_difficult_was_answered_for(self):
        verdicts = verdicts_from(Boxes([PLACE], [0], difficult=[True]), one(certain=True), COST)
        assert verdicts == (Verdict(Action.KEEP, "p", seconds=2, difficult=True),)


class TestWhichIsWhich:
    def test_an_equal_box_is_kept_though_another_lies_near(self):
        near = Proposals("i", Boxes([[10, 10, 50, 46], PLACE], [0, 0], ids=["near", "equal"]), np.zeros(2, bool))
        acts = {v.box_id: v.action for v in verdicts_from(Boxes([PLACE], [0]), near, COST)}
        assert acts == {"near": Action.DELETE, "equal": Action.KEEP}

    def test_the_class_decides_before_the_overlap(self):
        both = Proposals("i", Boxes([[10, 10, 50, 48], [10, 10, 50, 35]], [1, 0], ids=["other", "same"]), np.zeros(2, bool))
        acts = {v.box_id: v.action for v in verdicts_from(Boxes([PLACE], [0]), both, COST)}
        assert acts == {"other": Action.DELETE, "same": Action.MOVE}

    def test_each_proposal_explains_one_label(self):
        verdicts = verdicts_from(Boxes([PLACE, [10, 10, 50, 40]], [0, 0]), one(), COST)
        assert [v.action for v in verdicts] == [Action.KEEP, Action.ADD]


class TestSettled:
    boxes = Boxes([PLACE, [60, 60, 90, 90]], [0, 1], difficult=[True, False])

    def test_unchanged_it_stands_without_an_act(self):
        assert verdicts_from(self.boxes, settled(self.boxes), COST) == ()

    def test_a_file_without_flags_leaves_them(self):
        before = settled(self.boxes)
        assert verdicts_from(Boxes(self.boxes.xyxy, self.boxes.labels), before, COST) == ()
        moved = verdicts_from(Boxes([[10, 10, 50, 45], [60, 60, 90, 90]], [0, 1]), before, COST)
        assert moved == (Verdict(Action.MOVE, settled_id(0), (10, 10, 50, 45), None, 4, difficult=True),)

    def test_removed_renamed_or_drawn_anew_it_is_answered_for_again(self):
        assert verdicts_from(self.boxes[[0]], settled(self.boxes), COST) == (Verdict(Action.DELETE, settled_id(1), seconds=8),)
        renamed = replace(self.boxes, labels=np.array([0, 2]))
        assert verdicts_from(renamed, settled(self.boxes), COST) == (Verdict(Action.RELABEL, settled_id(1), None, 2, 4),)

    def test_other_flags_are_an_answer(self):
        plain = replace(self.boxes, difficult=np.array([False, False]))
        assert verdicts_from(plain, settled(self.boxes), COST) == (Verdict(Action.KEEP, settled_id(0), seconds=2),)

    def test_boxes_the_model_gave_then_are_forgotten(self):
        earlier = Annotation("i", self.boxes, (Source.MODEL, Source.HUMAN), complete=False)
        proposals = Proposals("i", Boxes.empty(), np.zeros(0, bool), earlier)
        assert [v.action for v in verdicts_from(self.boxes, proposals, COST)] == [Action.ADD]


def scattered(rng, count: int) -> Boxes:
    corner, side = rng.uniform(0, 200, (count, 2)), rng.uniform(4, 80, (count, 2))
    return Boxes(np.concatenate([corner, corner + side], axis=1), rng.integers(0, 3, count))


def corrected(shown: Boxes, rng) -> Boxes:
    """What a person makes of some boxes: drops, keeps, moves, renames, and adds."""
    xyxy, labels = shown.xyxy.copy(), shown.labels.copy()
    moved, renamed = rng.random(len(shown)) < 0.4, rng.random(len(shown)) < 0.3
    xyxy[moved] += rng.uniform(-12, 12, (int(moved.sum()), 1)).astype(np.float32)
    labels[renamed] = rng.integers(0, 3, int(renamed.sum()))
    left = Boxes(xyxy, labels)[np.flatnonzero(rng.random(len(shown)) < 0.7)]
    labels_ = Boxes.concatenate([left, scattered(rng, int(rng.integers(0, 4)))])
    return replace(labels_, difficult=rng.random(len(labels_)) < 0.2, crowd=rng.random(len(labels_)) < 0.1)


def rows(boxes: Boxes) -> list[tuple[float, ...]]:
    none = np.zeros(len(boxes), bool)
    difficult, crowd = (none if column is None else column for column in (boxes.difficult, boxes.crowd))
    return sorted(zip(boxes.labels.tolist(), difficult.tolist(), crowd.tolist(), boxes.xyxy.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(60))
def test_the_acts_give_the_labels_back(seed):
    rng = default_rng(seed)
    suggested, earlier = scattered(rng, int(rng.integers(0, 9))), scattered(rng, int(rng.integers(0, 5)))
    suggested = replace(suggested, scores=rng.random(len(suggested)), ids=np.array([f"p{row}" for row in range(len(suggested))], object))
    sources = tuple(Source.HUMAN if rng.random() < 0.7 else Source.MODEL for _ in range(len(earlier)))
    past = Annotation("i", earlier, sources, complete=False) if seed % 3 else None
    proposals = Proposals("i", suggested, rng.random(len(suggested)) < 0.4, past)
    shown = Boxes(np.concatenate([suggested.xyxy, earlier.xyxy]), np.concatenate([suggested.labels, earlier.labels]))
    labels = corrected(shown, rng)
    made = annotation_of("i", verdicts_from(labels, proposals, COST), proposals)
    wanted, got = rows(labels), rows(made.boxes)
    assert [row[:3] for row in wanted] == [row[:3] for row in got]
    shown_places = shown.xyxy.tolist()
    for (*_, handed_in), (*_, found) in zip(wanted, got, strict=True):
        assert handed_in == found or (found in shown_places and np.abs(np.subtract(handed_in, found)).max() <= 1)
    taken_over = replace(made, sources=(Source.HUMAN,) * len(made.boxes))
    assert verdicts_from(labels, Proposals("i", Boxes.empty(), np.zeros(0, bool), taken_over), COST) == ()


class TestIds:
    """A tool that keeps the ids of boxes says which box went where."""

    def test_a_box_dragged_far_away_is_a_move(self):
        labels = Boxes([[200, 200, 220, 260]], [0], ids=["p"])
        assert verdicts_from(labels, one(), COST) == (Verdict(Action.MOVE, "p", (200, 200, 220, 260), None, 4),)

    def test_an_id_goes_before_a_better_place(self):
        labels = Boxes([PLACE, [12, 12, 50, 50]], [0, 0], ids=["drawn", "p"])
        added, moved = verdicts_from(labels, one(), COST)
        assert (added.action, added.xyxy) == (Action.ADD, tuple(PLACE))
        assert (moved.action, moved.box_id, moved.xyxy) == (Action.MOVE, "p", (12, 12, 50, 50))

    def test_other_ids_say_nothing(self):
        for ids in (["x"], [7], [None], [""]):
            assert verdicts_from(Boxes([PLACE], [0], ids=ids), one(), COST) == (Verdict(Action.KEEP, "p", seconds=2),)


class TestSameLabels:
    LABELS = Boxes([PLACE, [60, 60, 70, 70], PLACE], [0, 1, 2])

    def test_in_any_order_and_as_files_round(self):
        assert same_labels(self.LABELS, replace(self.LABELS, xyxy=self.LABELS.xyxy + 0.5)[[2, 0, 1]])
        assert same_labels(Boxes.empty(), Boxes.empty())

    @pytest.mark.parametrize("other", [LABELS[:2], LABELS[[0, 1, 1]], replace(LABELS, labels=[0, 1, 1]), Boxes.empty()])
    def test_a_box_more_or_less_moved_or_renamed_is_another(self, other):
        assert not same_labels(self.LABELS, other) and not same_labels(other, self.LABELS)
        assert not same_labels(self.LABELS, replace(self.LABELS, xyxy=self.LABELS.xyxy + 0.6))

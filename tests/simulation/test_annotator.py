import numpy as np
import pytest

from boxwise.annotation.verdicts import annotation_of, drawn
from boxwise.boxes import Boxes, iou
from boxwise.config import AnnotatorConfig, CostConfig
from boxwise.errors import BoxwiseError
from boxwise.records import Action, Annotation, Proposals, QueryItem, Source, Verdict
from boxwise.simulation.annotator import SimulatedAnnotator

COST = CostConfig(draw=1, verify=10, correct=100, delete=1000, look=10000)
OBJECT = [0, 0, 100, 100]
KEPT, MOVED, FAR = [0, 0, 100, 80], [0, 0, 100, 60], [0, 0, 100, 40]  # IoU .8, .6, .4 with OBJECT
WHOLE = QueryItem("i", 0.0)


def proposals(*rows: tuple[list[float], int, float], certain=(), settled: Annotation | None = None) -> Proposals:
    """(xyxy, label, score) each; ids p0, p1, ..."""
    if not rows:
        return Proposals("i", Boxes.empty(), np.zeros(0, bool), settled)
    xyxy, labels, scores = zip(*rows, strict=True)
    ids = [f"p{row}" for row in range(len(rows))]
    return Proposals("i", Boxes(xyxy, labels, scores=scores, ids=ids), np.isin(np.arange(len(rows)), certain), settled)


def asked(*box_ids: str) -> QueryItem:
    return QueryItem("i", 0.0, box_ids=box_ids)


def annotator(*objects: tuple[list[float], int], seed: int = 0, class_count: int = 0, **habits: float) -> SimulatedAnnotator:
    truth = Boxes([xyxy for xyxy, _ in objects], [label for _, label in objects]) if objects else Boxes.empty()
    return SimulatedAnnotator({"i": truth}, COST, AnnotatorConfig(**habits), seed=seed, class_count=class_count)


def acts(verdicts) -> list[tuple[str, str]]:
    return [(verdict.action.value, verdict.box_id) for verdict in verdicts]


class TestWithoutProposals:
    def test_draws_every_object_and_charges_the_look(self):
        truth = Boxes(np.float32([[0.1, 0.2, 1.3, 1.7], [1, 1, 2, 2]]), [0, 1], difficult=[True, False], crowd=[False, True])
        simulated = SimulatedAnnotator({"a": truth, "b": Boxes.empty()}, CostConfig(draw=7, look=2))
        verdicts, seconds = simulated.annotate(QueryItem("a", 0.0))
        assert verdicts == drawn(truth, CostConfig(draw=7)) and seconds == 16
        assert annotation_of("a", verdicts).boxes.equals(truth)
        assert simulated.annotate(QueryItem("b", 0.0)) == ((), 2)

    def test_an_ignored_region_is_drawn_once_for_all_classes(self):
        regions = Boxes(np.repeat([OBJECT, [0, 0, 9, 9], OBJECT], [4, 4, 1], axis=0), [*range(4), *range(4), 0], crowd=[True] * 8 + [False])
        verdicts, seconds = SimulatedAnnotator({"i": regions}, CostConfig(draw=7, look=2)).annotate(WHOLE)
        assert len(verdicts) == 9 and seconds == 2 + 3 * 7
        assert annotation_of("i", verdicts).boxes.drawn == 3

    @pytest.mark.parametrize("certain", [(), (0,)])
    @pytest.mark.parametrize("label", [0, 1, 2])
    def test_what_is_left_of_a_region_is_charged_as_one_drawing(self, label: int, certain: tuple[int, ...]):
        truth = Boxes([OBJECT] * 3, range(3), crowd=[True] * 3)
        suggested = proposals((OBJECT, label, 0.9), certain=certain)
        verdicts, _ = SimulatedAnnotator({"i": truth}, CostConfig(draw=7)).annotate(WHOLE, suggested)
        assert [verdict.seconds for verdict in verdicts if verdict.action is Action.ADD] == [7, 0]

    def test_slips_leave_a_region_one(self):
        truth = Boxes([OBJECT] * 4, range(4), crowd=[True] * 4)
        for seed in range(20):
            habits = AnnotatorConfig(jitter=0.1, miss=0.5, wrong_class=0.9)
            verdicts, seconds = SimulatedAnnotator({"i": truth}, CostConfig(draw=7, look=2), habits, seed=seed).annotate(WHOLE)
            assert (len(verdicts), seconds) in ((0, 2), (4, 9))
            assert [verdict.label for verdict in verdicts] in ([], [0, 1, 2, 3]) and len({verdict.xyxy for verdict in verdicts}) <= 1

    def test_reveals_the_truth(self):
        assert annotator((OBJECT, 0)).reveal("i").xyxy.tolist() == [OBJECT]


class TestOneUncertainBox:
    @pytest.mark.parametrize(
        ("shown", "expected", "seconds"),
        [
            ((KEPT, 1), Verdict(Action.KEEP, "p0", None, None, 10), 10),
            ((MOVED, 1), Verdict(Action.MOVE, "p0", (0, 0, 100, 100), None, 100), 100),
            ((MOVED, 2), Verdict(Action.MOVE, "p0", (0, 0, 100, 100), 1, 100), 100),
            ((KEPT, 2), Verdict(Action.RELABEL, "p0", None, 1, 100), 100),
            ((FAR, 1), Verdict(Action.DELETE, "p0", None, None, 1000), 1000),
        ],
    )
    def test_is_answered_by_overlap_and_class(self, shown, expected, seconds):
        offered = proposals((*shown, 0.5))
        assert annotator((OBJECT, 1)).annotate(asked("p0"), offered) == ((expected,), seconds)
        missed = (Verdict(Action.ADD, "", (0, 0, 100, 100), 1, 1),) if expected.action is Action.DELETE else ()
        assert annotator((OBJECT, 1)).annotate(WHOLE, offered) == ((expected, *missed), 10000 + seconds + len(missed))

    def test_at_the_very_limit_it_is_kept(self):
        exactly = proposals(([0, 0, 100, 70], 0, 0.5))
        assert acts(annotator((OBJECT, 0), accept_iou=0.7).annotate(asked("p0"), exactly)[0]) == [("keep", "p0")]
        assert acts(annotator((OBJECT, 0), accept_iou=0.71).annotate(asked("p0"), exactly)[0]) == [("move", "p0")]
        halved = proposals(([0, 0, 100, 50], 0, 0.5))
        assert acts(annotator((OBJECT, 0)).annotate(asked("p0"), halved)[0]) == [("move", "p0")]
        less = proposals(([0, 0, 100, 49], 0, 0.5))
        assert acts(annotator((OBJECT, 0)).annotate(asked("p0"), less)[0]) == [("delete", "p0")]

    def test_a_kept_box_takes_the_flags_of_its_object(self):
        truth = Boxes([OBJECT], [0], difficult=[True], crowd=[True])
        verdicts, _ = SimulatedAnnotator({"i": truth}, COST).annotate(asked("p0"), proposals((KEPT, 0, 0.5)))
        assert verdicts == (Verdict(Action.KEEP, "p0", None, None, 10, difficult=True, crowd=True),)

    def test_a_false_positive_costs_too_where_there_is_no_object_at_all(self):
        verdicts, seconds = annotator().annotate(WHOLE, proposals((KEPT, 0, 0.5)))
        assert acts(verdicts) == [("delete", "p0")] and seconds == 11000


class TestSeveralBoxes:
    def test_the_higher_score_is_answered_first_and_its_duplicate_deleted(self):
        verdicts, seconds = annotator((OBJECT, 0)).annotate(WHOLE, proposals((OBJECT, 0, 0.4), (KEPT, 0, 0.6)))
        assert acts(verdicts) == [("keep", "p1"), ("delete", "p0")] and seconds == 11010

    def test_a_fitting_box_of_its_class_is_kept_though_another_object_overlaps_it_more(self):
        other = [0, 0, 100, 82]
        verdicts, _ = annotator((other, 1), (OBJECT, 0)).annotate(asked("p0"), proposals((KEPT, 0, 0.5)))
        assert acts(verdicts) == [("keep", "p0")]

    def test_else_it_means_the_object_it_overlaps_most(self):
        other = [0, 0, 100, 62]
        verdicts, _ = annotator((other, 1), (OBJECT, 0)).annotate(asked("p0"), proposals((MOVED, 0, 0.5)))
        assert verdicts == (Verdict(Action.RELABEL, "p0", None, 1, 100),)

    def test_only_the_boxes_asked_about_are_answered(self):
        offered = proposals((OBJECT, 0, 0.5), ([200, 0, 300, 100], 0, 0.6), (FAR, 0, 0.9), certain=[2])
        verdicts, seconds = annotator((OBJECT, 0), ([200, 0, 300, 100], 0), ([400, 0, 500, 100], 0)).annotate(asked("p0"), offered)
        assert acts(verdicts) == [("keep", "p0")] and seconds == 10
        assert annotator((OBJECT, 0)).annotate(asked(), offered) == ((), 0)

    def test_a_certain_box_may_be_asked_about(self):
        verdicts, _ = annotator((OBJECT, 0)).annotate(asked("p0"), proposals((KEPT, 0, 0.9), certain=[0]))
        assert acts(verdicts) == [("keep", "p0")]

    @pytest.mark.parametrize("offered", [None, proposals((KEPT, 0, 0.5))])
    def test_an_unknown_box_is_an_error(self, offered):
        with pytest.raises(BoxwiseError, match="i: asked about box 'z'"):
            annotator((OBJECT, 0)).annotate(asked("z"), offered)


class TestCertainBoxes:
    def test_stand_for_objects_of_their_class(self):
        offered = proposals((MOVED, 0, 0.9), (OBJECT, 0, 0.5), certain=[0])
        verdicts, seconds = annotator((OBJECT, 0)).annotate(WHOLE, offered)
        assert acts(verdicts) == [("delete", "p1")] and seconds == 11000

    def test_of_another_class_leave_the_object_free_for_an_uncertain_one(self):
        offered = proposals((OBJECT, 1, 0.9), (KEPT, 0, 0.5), certain=[0])
        assert acts(annotator((OBJECT, 0)).annotate(WHOLE, offered)[0]) == [("keep", "p1")]

    def test_of_another_class_hide_the_object_from_who_looks_for_missed_ones(self):
        offered = proposals((MOVED, 1, 0.9), certain=[0])
        assert annotator((OBJECT, 0)).annotate(WHOLE, offered) == ((), 10000)

    def test_too_far_off_hide_nothing(self):
        assert acts(annotator((OBJECT, 0)).annotate(WHOLE, proposals((FAR, 0, 0.9), certain=[0]))[0]) == [("add", "")]

    def test_hide_one_object_each(self):
        twin = [0, 0, 100, 90]
        offered = proposals((OBJECT, 0, 0.9), certain=[0])
        verdicts, _ = annotator((OBJECT, 0), (twin, 0)).annotate(WHOLE, offered)
        assert acts(verdicts) == [("add", "")] and verdicts[0].xyxy == tuple(twin)


class TestNotice:
    @pytest.mark.parametrize(
        ("shown", "expected"),
        [
            ((FAR, 0), [("delete", "p0"), ("add", "")]),
            ((KEPT, 1), [("relabel", "p0")]),
            ((MOVED, 1), [("move", "p0")]),
            ((MOVED, 0), []),
        ],
    )
    def test_a_wrong_certain_box_is_put_right(self, shown, expected):
        offered = proposals((*shown, 0.9), certain=[0])
        assert acts(annotator((OBJECT, 0), notice=1).annotate(WHOLE, offered)[0]) == expected

    def test_it_is_deleted_where_another_box_stands_for_the_object(self):
        offered = proposals((OBJECT, 1, 0.9), (KEPT, 0, 0.5), certain=[0])
        assert acts(annotator((OBJECT, 0), notice=1).annotate(WHOLE, offered)[0]) == [("keep", "p1"), ("delete", "p0")]

    def test_nobody_notices_what_they_do_not_look_over(self):
        offered = proposals((FAR, 0, 0.9), ([200, 0, 300, 100], 0, 0.5), certain=[0])
        assert acts(annotator((OBJECT, 0), notice=1).annotate(asked("p1"), offered)[0]) == [("delete", "p1")]

    def test_as_often_as_set(self):
        offered = proposals(*(([0, 0, 10, 10], 0, 0.9) for _ in range(2000)), certain=range(2000))
        assert len(annotator(notice=0.3).annotate(WHOLE, offered)[0]) == pytest.approx(600, abs=80)


class TestSettled:
    def test_an_object_with_a_persons_box_needs_no_other(self):
        earlier = Annotation("i", Boxes([MOVED], [3]), (Source.HUMAN,), complete=False)
        verdicts, _ = annotator((OBJECT, 0)).annotate(WHOLE, proposals((KEPT, 0, 0.5), settled=earlier))
        assert acts(verdicts) == [("delete", "p0")]
        assert annotator((OBJECT, 0)).annotate(WHOLE, proposals(settled=earlier)) == ((), 10000)

    def test_a_box_that_the_model_gave_then_settles_nothing(self):
        earlier = Annotation("i", Boxes([OBJECT], [0], scores=[0.9]), (Source.MODEL,), complete=False)
        assert acts(annotator((OBJECT, 0)).annotate(WHOLE, proposals(settled=earlier))[0]) == [("add", "")]


def many(count: int, *, side: float = 40) -> list[tuple[list[float], int]]:
    """Objects that do not touch, of three classes in turn, far from the edges."""
    corners = [(100 + 50 * (k % 50), 100 + 50 * (k // 50)) for k in range(count)]
    return [([x, y, x + side, y + side], k % 3) for k, (x, y) in enumerate(corners)]


def suggested(objects, *, shrink: float = 0, certain=()) -> Proposals:
    rows = [([x1, y1, x2, y2 - shrink], label, 0.5) for (x1, y1, x2, y2), label in objects]
    return proposals(*rows, certain=certain)


class TestSlips:
    objects = many(2000)

    def test_missed_objects(self):
        simulated = annotator(*self.objects, miss=0.2)
        assert len(simulated.annotate(WHOLE)[0]) == pytest.approx(1600, abs=80)
        half = suggested(self.objects[:1000])
        verdicts, _ = simulated.annotate(WHOLE, half)
        kept, added = (sum(v.action is action for v in verdicts) for action in (Action.KEEP, Action.ADD))
        assert kept == 1000 and added == pytest.approx(800, abs=60)

    def test_nobody_who_misses_everything_draws(self):
        assert annotator(*self.objects, miss=1).annotate(WHOLE) == ((), 10000)

    def test_wrong_classes(self):
        truth = np.array([label for _, label in self.objects])
        labels = annotation_of("i", annotator(*self.objects, wrong_class=0.1).annotate(WHOLE)[0]).boxes.labels
        assert np.mean(labels != truth) == pytest.approx(0.1, abs=0.03) and set(labels) == {0, 1, 2}
        wrong = labels[(labels != truth) & (truth == 0)]
        assert np.mean(wrong == 1) == pytest.approx(0.5, abs=0.2)

    @pytest.mark.parametrize(("shrink", "action"), [(0, Action.RELABEL), (16, Action.MOVE)])
    def test_an_answered_suggestion_may_get_a_wrong_class_too(self, shrink, action):
        offered = suggested(self.objects, shrink=shrink)
        verdicts, seconds = annotator(*self.objects, wrong_class=0.1).annotate(asked(*offered.boxes.ids), offered)
        slips = [verdict for verdict in verdicts if verdict.label is not None]
        assert {verdict.action for verdict in slips} == {action} and len(slips) == pytest.approx(200, abs=60)
        assert seconds == sum(verdict.seconds for verdict in verdicts)

    def test_a_mistaken_class_that_the_suggestion_had_is_a_keep(self):
        verdicts, _ = annotator((OBJECT, 0), class_count=2, wrong_class=1).annotate(asked("p0"), proposals((KEPT, 1, 0.5)))
        assert verdicts == (Verdict(Action.KEEP, "p0", None, None, 10),)

    def test_with_one_class_there_is_no_wrong_one(self):
        assert annotator((OBJECT, 0), wrong_class=1).annotate(WHOLE)[0][0].label == 0

    def test_wrong_suggestions_kept(self):
        wrong = suggested(self.objects, shrink=16)
        verdicts, seconds = annotator(*self.objects, accept_wrong=0.25).annotate(WHOLE, wrong)
        kept = sum(verdict.action is Action.KEEP for verdict in verdicts)
        assert kept == pytest.approx(500, abs=80) and len(verdicts) == 2000  # what was kept stands for its object
        assert seconds == 10000 + 10 * kept + 100 * (2000 - kept)

    def test_a_false_positive_and_a_duplicate_may_be_kept(self):
        simulated = annotator((OBJECT, 0), accept_wrong=1)
        verdicts, _ = simulated.annotate(WHOLE, proposals((OBJECT, 0, 0.9), (KEPT, 0, 0.8), (FAR, 0, 0.5)))
        assert acts(verdicts) == [("keep", "p0"), ("keep", "p1"), ("keep", "p2")]

    def test_a_right_suggestion_is_not_accepted_wrongly(self):
        simulated = annotator((OBJECT, 0), class_count=2, accept_wrong=1, wrong_class=1)
        assert acts(simulated.annotate(asked("p0"), proposals((KEPT, 0, 0.5)))[0]) == [("relabel", "p0")]

    def test_jitter_is_a_share_of_the_side(self):
        wide = [([x1, y1, x1 + 40, y1 + 20], label) for (x1, y1, _, _), label in self.objects]
        truth = np.array([xyxy for xyxy, _ in wide])
        errors = annotation_of("i", annotator(*wide, jitter=0.05).annotate(WHOLE)[0]).boxes.xyxy - truth
        assert errors.std(axis=0) == pytest.approx([2, 1, 2, 1], rel=0.1) and errors.mean(axis=0) == pytest.approx([0] * 4, abs=0.2)

    def test_moved_boxes_jitter_and_kept_ones_do_not(self):
        moved, kept = suggested(self.objects[:50], shrink=16), suggested(self.objects[:50])
        simulated = annotator(*self.objects[:50], jitter=0.05)
        assert [v.xyxy for v in simulated.annotate(asked(*kept.boxes.ids), kept)[0]] == [None] * 50
        boxes = annotation_of("i", simulated.annotate(asked(*moved.boxes.ids), moved)[0], moved).boxes
        assert 0.5 < np.diag(iou(boxes.xyxy, kept.boxes.xyxy)).min() < 1

    def test_however_it_jitters_a_box_stays_valid_and_inside(self):
        truth = Boxes([[0, 0, 30, 40], [60, 50, 64, 53]] * 500, [0, 1] * 500)
        simulated = SimulatedAnnotator({"i": truth}, COST, AnnotatorConfig(jitter=0.9), sizes={"i": (64, 53)})
        xyxy = annotation_of("i", simulated.annotate(WHOLE)[0]).boxes.xyxy
        assert (xyxy[:, :2] >= 0).all() and (xyxy[:, 2:] <= [64, 53]).all() and (xyxy[:, 2:] > xyxy[:, :2]).all()
        assert len(np.unique(xyxy, axis=0)) > 500


class TestDeterminism:
    habits = AnnotatorConfig(jitter=0.1, miss=0.2, wrong_class=0.2, accept_wrong=0.3, notice=0.5)
    truth = Boxes([xyxy for xyxy, _ in many(60)], [label for _, label in many(60)])

    def simulated(self, seed=0) -> SimulatedAnnotator:
        return SimulatedAnnotator({"i": self.truth, "j": self.truth}, COST, self.habits, seed=seed)

    def test_answers_do_not_depend_on_what_was_answered_before(self):
        first, second = self.simulated(), self.simulated()
        i, j = QueryItem("i", 0.0), QueryItem("j", 0.0)
        answers = [first.annotate(i), first.annotate(j)]
        assert [second.annotate(j), second.annotate(i)] == answers[::-1] and answers[0] != answers[1]

    def test_nor_on_why_the_image_was_chosen(self):
        assert self.simulated().annotate(QueryItem("i", 0.9, terms={"L_det": 3.0})) == self.simulated().annotate(WHOLE)

    def test_another_seed_slips_elsewhere(self):
        assert self.simulated(0).annotate(WHOLE) != self.simulated(1).annotate(WHOLE)

    def test_an_object_slips_alike_whatever_was_suggested(self):
        alone = {verdict.xyxy: verdict.label for verdict in self.simulated().annotate(WHOLE)[0]}
        beside = self.simulated().annotate(WHOLE, proposals(([2900, 2900, 2950, 2950], 0, 0.5)))[0]
        assert {verdict.xyxy: verdict.label for verdict in beside if verdict.action is Action.ADD} == alone

    def test_an_image_asked_about_again_is_looked_at_anew(self):
        def after(round_index: int):
            return proposals(settled=Annotation("i", Boxes.empty(), (), complete=False, round=round_index))

        answers = [self.simulated().annotate(WHOLE, past) for past in (None, after(0), after(1))]
        assert answers[0] != answers[1] != answers[2] and answers[1] == self.simulated().annotate(WHOLE, after(0))

    def test_without_habits_the_seed_changes_nothing(self):
        offered = suggested(many(60), shrink=3)
        exact = [SimulatedAnnotator({"i": self.truth}, COST, seed=seed).annotate(WHOLE, offered) for seed in (0, 1)]
        assert exact[0] == exact[1]


def test_a_review_without_slips_ends_in_the_truth_wherever_the_model_was_not_sure():
    objects = many(100)
    rows = [([x1, y1, x2, y2 - shrink], (label + turn) % 3, 0.5) for ((x1, y1, x2, y2), label), shrink, turn in
            zip(objects[:80], [0, 9, 16, 30] * 20, [0, 0, 0, 0, 1, 1, 1, 1] * 10, strict=True)]  # fmt: skip
    offered = proposals(*rows)
    verdicts, seconds = annotator(*objects).annotate(WHOLE, offered)
    boxes = annotation_of("i", verdicts, offered).boxes
    truth = Boxes([xyxy for xyxy, _ in objects], [label for _, label in objects])
    overlap = iou(boxes.xyxy, truth.xyxy)
    assert len(boxes) == 100 and (overlap.max(axis=0) >= 0.7).all()
    assert np.array_equal(truth.labels[overlap.argmax(axis=1)], boxes.labels)
    assert seconds == 10000 + 20 * 10 + 40 * 100 + 20 * 1000 + 40 * 1

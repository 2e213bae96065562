"""People and the model label together: what each mode asks, what enters, and what returns."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from boxwise.annotation.verdicts import shown_to_annotator
from boxwise.artifacts.box_tables import read_self_labels
from boxwise.artifacts.detections_file import read_detections, writing_detections
from boxwise.boxes import Boxes, iou
from boxwise.config import CostConfig, load_config
from boxwise.errors import ConfigError, StudyError
from boxwise.records import Action, Phase, Source, Split, Verdict
from boxwise.rounds import check
from boxwise.rounds.teaching import lessons
from boxwise.simulation.simulate import Plan, _trunk_config, simulate
from boxwise.study import Study

pytestmark = pytest.mark.slow

# Twelve steps of training leave scores of .15 to .4: thresholds among them give boxes of both kinds.
UNSURE_MODEL = ("ask.certain=0.34", "ask.uncertain=0.2", "scorer.name=none", "strategy.name=random")


@pytest.fixture
def study_of(tmp_path, hidden, tiny_overrides, made_once):
    """A function from settings to a study; where round 0 looks the same under them, to the fork of one trained in it, once for all."""
    base = load_config(None, [*tiny_overrides, *UNSURE_MODEL])

    def make(folder):
        first = Study.create(folder, hidden[1], config=base)
        until(first, hidden[0], 0, Phase.SCORE)
        first.store.close()

    def fork(*overrides, name="study"):
        config = load_config(None, [*tiny_overrides, *UNSURE_MODEL, *overrides])
        if _trunk_config(base, config) != base:
            return Study.create(tmp_path / name, hidden[1], config=config)
        first = shutil.copytree(made_once("cooperation", make), tmp_path / f"{name}_first")
        return Study.open(first).fork(tmp_path / name, config)

    return fork


def until(study, annotator, round_index, phase):
    """Run up to a position, answering what is asked on the way."""
    while study.store.position != (round_index, phase):
        if study.store.position[1] is Phase.ANNOTATE:
            study.answer(annotator)
        assert study.step() is not Phase.DONE


class TestModes:
    def test_full_shows_no_proposals(self, study_of, hidden):
        study = study_of()
        until(study, hidden[0], 1, Phase.ANNOTATE)
        items = study.ask().items
        assert not study.proposals() and items and all(item.box_ids is None for item in items)

    def test_review_takes_certain_boxes_as_accepted_and_asks_for_the_whole_image(self, study_of, hidden):
        study = study_of("ask.mode=review")
        until(study, hidden[0], 1, Phase.ANNOTATE)
        item = next(item for item in study.ask().items if study.proposals()[item.image_id].certain.any())
        proposals = study.proposals()[item.image_id]
        annotation = study.tell(item.image_id, [])  # nothing missed, every uncertain box ignored
        assert item.box_ids is None and annotation.complete
        assert set(annotation.sources) == {Source.MODEL} and len(annotation.boxes) == proposals.certain.sum()
        assert study.store.history(item.image_id)[-1].annotation.boxes.scores.tolist() == proposals.boxes.scores[proposals.certain].tolist()

    def test_trust_asks_about_uncertain_boxes_alone_and_not_about_images_without(self, study_of, hidden):
        study = study_of("ask.mode=trust", "ask.uncertain=0.335", "budget.per_round=12")
        until(study, hidden[0], 1, Phase.ANNOTATE)
        query, proposals = study.store.query(1), study.proposals()
        alone = {item.image_id for item in query.items if item.box_ids == ()}
        assert alone and {item.image_id for item in study.ask().items} == set(query.image_ids) - alone != set()
        for image_id in alone:
            (entry,) = study.store.history(image_id)
            annotator, annotation, verdicts = entry.annotator, entry.annotation, entry.verdicts
            assert annotator == "model" and not verdicts and not annotation.complete and proposals[image_id].certain.all()
        for item in study.ask().items:
            assert set(item.box_ids) == set(proposals[item.image_id].uncertain_ids)

    def test_boxes_leaves_images_incomplete_and_in_the_pool(self, study_of, hidden):
        study = study_of("ask.mode=boxes")
        until(study, hidden[0], 1, Phase.TRAIN)
        asked, labels = study.store.query(1).image_ids, study.store.annotations(Split.TRAIN)
        assert asked and {record.image_id for record in study.store.pool()} >= set(asked)
        for image_id in asked:
            assert not labels[image_id].complete and not labels[image_id].by_model.any() and len(labels[image_id].rejected)

    def test_boxes_asks_nothing_more_once_a_person_has_labelled_the_whole_image(self, study_of, hidden):
        study = study_of("ask.mode=boxes", "budget.per_round=1000")
        until(study, hidden[0], 1, Phase.EVALUATE)
        done, other = study.store.query(1).image_ids[:2]
        study.tell(done, [], complete=True)
        until(study, hidden[0], 2, Phase.ANNOTATE)
        assert done not in study.store.query(2).image_ids and other in study.store.query(2).image_ids

    def test_trust_takes_images_out_of_the_pool(self, study_of, hidden):
        study = study_of("ask.mode=trust")
        until(study, hidden[0], 1, Phase.TRAIN)
        assert not {record.image_id for record in study.store.pool()} & set(study.store.query(1).image_ids)

    def test_labour_counts_questions_answered_with_no(self, study_of, hidden):
        study = study_of("ask.mode=boxes")
        until(study, hidden[0], 1, Phase.TRAIN)
        facts = study.round(1).annotate
        cost = CostConfig()
        seconds = {"keep": cost.verify, "delete": cost.delete, "move": cost.correct, "relabel": cost.correct, "add": cost.draw}
        assert facts.actions["delete"] > 0 and facts.actions["add"] == 0
        assert facts.new_seconds == pytest.approx(sum(seconds[name] * times for name, times in facts.actions.items()))

    @pytest.mark.parametrize("unit", ["boxes", "seconds"])
    def test_the_k_of_a_policy_counts_images_whatever_the_budget_counts(self, study_of, hidden, unit):
        study = study_of("policy.name=v1", f"budget.unit={unit}", "budget.per_round=12", "budget.initial=20")
        until(study, hidden[0], 1, Phase.TRAIN)
        new = len(study.store.query(1).image_ids)
        assert 0 < new < 12
        assert study.round(1).compose.trained == 2 * new

    def test_a_policy_that_judges_self_labels_needs_some(self):
        with pytest.raises(ConfigError, match=r"topk_ratio.*review or trust"):
            check(load_config(None, ["policy.name=topk_ratio"]), ("a",))

    def test_a_wanted_precision_needs_a_val_to_find_it_on(self, tmp_path, digits, tiny_overrides):
        bare = replace(digits, labels={}, images=tuple(replace(record, split=None) for record in digits.images))
        config = load_config(None, [*tiny_overrides, "ask.target_precision=0.9", "budget.validation=0"])
        with pytest.raises(StudyError, match=r"found on val, which has no image"):
            Study.create(tmp_path / "study", bare, config=config).ask()


class TestImport:
    def test_corrected_proposals_are_charged_as_corrections(self, study_of, hidden, digits):
        study = study_of("ask.mode=review")
        until(study, hidden[0], 1, Phase.ANNOTATE)
        truth = {item.image_id: hidden[0].reveal(item.image_id) for item in study.ask().items}
        assert truth and study.tell_all(truth) == (len(truth), 0)
        for image_id, boxes in truth.items():
            entry = study.store.history(image_id)[-1]
            annotation, verdicts = entry.annotation, entry.verdicts
            assert sorted(annotation.boxes.labels) == sorted(boxes.labels) and annotation.complete
            assert sum(v.action is Action.DELETE for v in verdicts) > 0
        assert not study.ask().items and study.tell_all(truth) == (0, len(truth))


class TestRequeue:
    def test_images_return_with_what_people_said_and_are_asked_about_the_rest_alone(self, study_of, hidden):
        study = study_of("ask.mode=review", "policy.name=ratio_threshold", "ask.certain=0.37", "policy.ratio_train=0.5")
        until(study, hidden[0], 2, Phase.ANNOTATE)
        again = study.round(1).compose.requeued
        assert again and study.store.query(2).image_ids[: len(again)] == again
        for image_id in again:
            before, now = study.store.annotations(Split.TRAIN, before=2)[image_id], study.proposals()[image_id]
            people = before.boxes.xyxy[~before.by_model]
            assert len(people) and np.array_equal(now.settled.boxes.xyxy, people)
            answered = np.concatenate([people, before.rejected])
            assert not len(now.boxes) or iou(now.boxes.xyxy, answered).max() < 0.5
        until(study, hidden[0], 2, Phase.TRAIN)
        for image_id in again:
            now, before = study.store.annotations(Split.TRAIN)[image_id], study.store.annotations(Split.TRAIN, before=2)[image_id]
            assert now.round == 2 and now.complete and len(now.boxes) >= (~before.by_model).sum()

    def test_nobody_looks_twice_over_the_same_image(self, study_of, hidden):
        study = study_of("ask.mode=review", "policy.name=ratio_threshold", "ask.certain=0.37", "policy.ratio_train=0.5")
        until(study, hidden[0], 2, Phase.TRAIN)
        again = study.round(1).compose.requeued
        acts = {i: study.store.history(i)[-1].verdicts for i in again}
        assert any(acts.values())
        assert all(verdict.action is not Action.ADD for verdicts in acts.values() for verdict in verdicts)

    def test_a_full_batch_of_returning_images_asks_for_no_new_ones(self, study_of, hidden):
        study = study_of("ask.mode=review", "policy.name=ratio_threshold", "policy.ratio_train=0.31", "policy.ratio_join=0.3")
        until(study, hidden[0], 2, Phase.ANNOTATE)
        again = study.round(1).compose.requeued
        assert len(study.store.query(2).items) == 4 and set(again) <= set(study.store.query(2).image_ids)

    def test_images_leave_the_queue_once_the_model_is_certain_of_what_people_labelled(self, study_of, hidden):
        study = study_of("ask.mode=review", "policy.name=ratio_threshold", "ask.certain=0.9", "budget.rounds=3")
        until(study, hidden[0], 2, Phase.SELECT)
        again, labels = study.round(1).compose.requeued, study.store.annotations(Split.TRAIN)
        learned, unlearned = again[0], again[1]

        with writing_detections(study.files(1).detections) as writer:
            for image_id in again:
                people = labels[image_id].boxes
                sure = Boxes(people.xyxy, people.labels, np.full(len(people), 0.95), np.eye(11)[people.labels])
                writer.add(image_id, sure[:0] if image_id == unlearned else sure)
        until(study, hidden[0], 2, Phase.TRAIN)
        plan = study.round(2).compose
        assert plan.al_ratio[learned] == 0 and plan.al_ratio[unlearned] == 1
        assert learned in plan.joined and unlearned in plan.requeued
        assert not study.store.annotations(Split.TRAIN)[learned].by_model.any() and plan.sl_score[learned] == pytest.approx(0.95)

    def test_fidelity_leaves_out_what_the_model_has_trained_on(self, study_of, hidden):
        study = study_of("ask.mode=review", "ask.certain=1", "policy.name=ratio_threshold", "strategy.name=top_k", "scorer.name=dual")
        until(study, hidden[0], 2, Phase.COMPOSE)
        again = set(study.round(1).compose.requeued)
        audited = study.round(2).audit.true_losses
        assert again & set(study.store.query(2).image_ids) and not again & set(audited)


class TestEvolvingValidation:
    def test_a_random_draw_joins_val_each_round_and_is_judged_apart(self, study_of, hidden):
        study = study_of("budget.val_per_round=2", "ask.mode=review")
        before = {record.image_id for record in study.store.images(Split.VAL)}
        until(study, hidden[0], 2, Phase.SCORE)
        draws = [{i.image_id for i in study.store.query(n).items if i.split is Split.VAL} for n in (1, 2)]
        assert [len(draw) for draw in draws] == [2, 2] and not draws[0] & draws[1] and not (draws[0] | draws[1]) & before
        parts = study.round(2).evaluate.val_parts
        assert {name: part["images"] for name, part in parts.items()} == {"original": len(before), "round 1": 2, "round 2": 2}
        assert study.round(2).evaluate.val["images"] == len(before) + 4
        assert study.round(2).annotate.val_seconds > 0

    def test_its_labels_are_drawn_by_hand_whatever_the_mode(self, study_of, hidden):
        study = study_of("budget.val_per_round=2", "ask.mode=trust")
        until(study, hidden[0], 1, Phase.TRAIN)
        val = [item.image_id for item in study.store.query(1).items if item.split is Split.VAL]
        assert len(val) == 2 and study.proposals() and not study.proposals().keys() & set(val)
        for image_id in val:
            entry = study.store.history(image_id)[-1]
            assert entry.annotation.complete and {v.action for v in entry.verdicts} == {Action.ADD}

    def test_the_draw_does_not_depend_on_the_strategy(self, study_of, hidden):
        draws = []
        for name in ("random", "k_center"):
            study = study_of("budget.val_per_round=2", f"strategy.name={name}", name=name)
            until(study, hidden[0], 1, Phase.ANNOTATE)
            draws.append([item.image_id for item in study.store.query(1).items if item.split is Split.VAL])
        assert draws[0] == draws[1]


class TestRisk:
    def test_drawn_with_known_probabilities_the_pool_is_estimated(self, study_of, hidden):
        study = study_of("strategy.name=score_sampling", "scorer.name=uncertainty")
        until(study, hidden[0], 1, Phase.TRAIN)
        risk = study.round(1).audit.lure
        assert risk["images"] == 4 and risk["pool"] == study.round(1).select.candidates
        assert np.isfinite([risk["loss"], risk["error"]]).all() and 0 <= risk["mean_error"] <= 1

    @pytest.mark.parametrize("overrides", [("strategy.name=top_k",), ("strategy.name=score_sampling", "ask.mode=review")])
    def test_no_estimate_without_probabilities_or_against_the_models_own_labels(self, study_of, hidden, overrides):
        study = study_of("scorer.name=uncertainty", *overrides)
        until(study, hidden[0], 1, Phase.TRAIN)
        assert study.round(1).audit.lure is None


def test_self_labels_are_judged_by_the_simulation_alone(digits, tiny_overrides, tmp_path):
    config = load_config(None, [*tiny_overrides, *UNSURE_MODEL, "ask.certain=0.3", "annotator.miss=0.2", "annotator.jitter=0.05"])
    plan = Plan(digits, config, ("random+trust", "random+ceal+policy.delta=3"), (0,), tmp_path)
    trust, ceal = simulate(plan)
    assert set(trust.self_labels["1"]) == {"annotated"} and set(ceal.self_labels["1"]) == {"pool"}
    counted = sum(row["self_labeled"] for row in ceal.self_labels["2"]["pool"].values())
    assert counted == ceal.rounds[2].compose.self_boxes > 0
    for cell in (trust, ceal):
        study = Study.open(cell.folder)
        asked = {image_id for number in range(3) for image_id in study.store.query(number).image_ids}
        assert set(study.store.annotations(Split.TRAIN)) == asked


def detected(study, round_index, boxes_of):
    """Write anew what the pool pass of `round` found: image_id → boxes."""
    path = study.files(round_index).detections
    found = {image_id: boxes_of(image_id, boxes) for image_id, boxes in read_detections(path)}
    with writing_detections(path) as writer:
        for image_id, boxes in found.items():
            writer.add(image_id, boxes)


def nothing(_image_id, boxes):
    return boxes[:0]


class TestNothingToAsk:
    @pytest.mark.parametrize("mode", ["boxes", "trust"])
    def test_a_study_without_a_question_ends_and_says_why(self, study_of, hidden, mode):
        study = study_of(f"ask.mode={mode}", "ask.certain=0.99", "ask.uncertain=0.98", "budget.val_per_round=2")
        assert study.run(hidden[0]) is Phase.DONE
        assert "no image" in study.round(1).select.ended and not study.store.query(1).items
        assert study.run(hidden[0]) is study.step() is Phase.DONE and not study.ask().items
        study.extend(9)
        assert study.run(hidden[0]) is Phase.DONE

    def test_other_settings_find_something_to_ask(self, study_of, hidden):
        study = study_of("ask.mode=boxes", "ask.certain=0.99", "ask.uncertain=0.98")
        study.run(hidden[0])
        study.change(study.config.model_copy(update={"ask": study.config.ask.model_copy(update={"mode": "full"})}))
        assert study.position == (0, Phase.SCORE)
        study.run()
        assert study.position == (1, Phase.ANNOTATE) and study.ask().items

    def test_validation_never_takes_the_last_of_the_pool(self, study_of, hidden):
        study = study_of("budget.val_per_round=1000")
        before = {record.image_id for record in study.store.images(Split.VAL)}
        assert study.run(hidden[0]) is Phase.DONE
        asked = study.store.query(1).items
        assert [item.split for item in asked].count(Split.TRAIN) == 1 and not study.pool()
        assert {record.image_id for record in study.store.images(Split.VAL)} > before

    def test_images_without_any_box_are_not_taken_on_trust(self, study_of, hidden):
        study = study_of("ask.mode=trust")
        until(study, hidden[0], 1, Phase.SELECT)
        blank = sorted(record.image_id for record in study.store.pool())[::2]
        detected(study, 0, lambda image_id, boxes: boxes[:0] if image_id in blank else boxes)
        until(study, hidden[0], 1, Phase.TRAIN)
        assert study.store.query(1).items and {record.image_id for record in study.store.pool()} >= set(blank)


class TestWhatPeopleSaid:
    def test_labels_given_before_the_selection_are_not_made_anew_by_the_model(self, study_of, hidden):
        study = study_of("ask.mode=trust", "ask.certain=0.2", "budget.per_round=1000")
        until(study, hidden[0], 1, Phase.SELECT)
        image_id = study.store.pool()[0].image_id
        study.tell(image_id, [], complete=False)
        until(study, hidden[0], 1, Phase.TRAIN)
        assert image_id not in study.store.query(1).image_ids
        assert [entry.annotator for entry in study.store.history(image_id)] == ["human"]

    def test_an_image_looked_over_is_whole_only_while_its_certain_boxes_are_found_again(self, study_of, hidden):
        study = study_of("ask.mode=review", "policy.name=ratio_threshold", "policy.ratio_train=0.31", "ask.certain=0.3")
        until(study, hidden[0], 1, Phase.ANNOTATE)
        for item in study.ask().items:
            boxes = study.proposals()[item.image_id].boxes
            drawn_too = [Verdict(Action.ADD, "", (0, row, 3, row + 3), 0) for row in range(0, 60, 4)]
            assert len(boxes) and study.tell(item.image_id, drawn_too).by_model.any()
        until(study, hidden[0], 2, Phase.SELECT)
        again = study.round(1).compose.requeued
        lost, kept = again[0], again[1]
        before = study.store.annotations(Split.TRAIN)
        certain = {i: before[i].boxes[before[i].by_model] for i in again}
        with writing_detections(study.files(1).detections) as writer:
            for i in again:
                writer.add(i, (certain[i] if i != lost else certain[i][1:]))
        study.step()
        asked = {item.image_id: item for item in study.store.query(2).items}
        assert asked[lost].box_ids is None, "no person has said that the object is gone: it is looked for again"
        assert asked[kept].box_ids == () and study.store.annotations(Split.TRAIN)[kept].complete

    @pytest.mark.parametrize("mode", ["review", "trust", "boxes"])
    def test_the_same_labels_again_change_nothing(self, study_of, hidden, mode):
        study = study_of(f"ask.mode={mode}")
        until(study, hidden[0], 1, Phase.ANNOTATE)
        labels = {i: replace(shown_to_annotator(p).boxes, ids=None, scores=None) for i, p in study.proposals().items()}
        asked = study.ask().image_ids
        study.tell_all({i: labels[i] for i in asked})
        labour = study.store.labour(Split.TRAIN)
        assert study.tell_all({i: labels[i] for i in asked}) == (0, len(asked))
        until(study, hidden[0], 2, Phase.ANNOTATE)
        assert study.tell_all({i: labels[i] for i in asked if i not in study.ask().image_ids})[0] == 0
        assert study.store.labour(Split.TRAIN) == labour

    def test_an_image_labelled_after_it_was_self_labelled_is_learned_from_a_person_alone(self, study_of, hidden):
        study = study_of("policy.name=ceal", "policy.delta=3")
        until(study, hidden[0], 1, Phase.TRAIN)
        own = read_self_labels(study.files(1).self_labels)
        image_id = next(iter(own))
        study.tell(image_id, [Verdict(Action.ADD, "", (1, 1, 9, 9), 0)])
        samples = [s for s in lessons(study._context(None, None), 1) if s.image.image_id == image_id]
        assert len(samples) == 1 and samples[0].complete


def test_risk_is_not_estimated_where_the_number_of_draws_depends_on_them(study_of, hidden):
    study = study_of("strategy.name=score_sampling", "scorer.name=uncertainty", "budget.unit=boxes", "budget.per_round=9")
    until(study, hidden[0], 1, Phase.TRAIN)
    assert study.round(1).audit.n and study.round(1).audit.lure is None

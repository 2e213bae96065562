"""Round 0 by embeddings: in a study, with bad images, resumed; in a simulation, arms that start alike share one first training."""

from dataclasses import replace

import pytest

from boxwise.config import load_config
from boxwise.errors import ConfigError
from boxwise.records import Phase, Split
from boxwise.rounds import check
from boxwise.simulation.folder import without_arms
from boxwise.simulation.simulate import Plan, read_simulation, simulate
from boxwise.study import Study

COLD = ("random", "k_center", "typiclust")


def config_of(tiny_overrides, name, *more):
    return load_config(None, [*tiny_overrides, f"cold_start.name={name}", *more])


def asked(study):
    return [item.image_id for item in study.ask().items if item.split is Split.TRAIN]


@pytest.fixture
def start(hidden, tiny_overrides, tmp_path):
    """A function from a cold start to a fresh study that has asked for its first images."""

    def made(name, *more, dataset=hidden[1], folder="study"):
        study = Study.create(tmp_path / folder, dataset, config=config_of(tiny_overrides, name, *more))
        study.ask()
        return study

    return made


class TestStudy:
    @pytest.mark.parametrize("embedding", ["backbone", "vae"])
    @pytest.mark.parametrize("name", ["k_center", "typiclust"])
    def test_the_budget_is_spent_on_the_pool(self, start, name, embedding):
        study = start(name, f"cold_start.embedding={embedding}")
        facts = study.round(0).select
        assert len(set(asked(study))) == 6 and study.store.position == (0, Phase.ANNOTATE)
        assert (facts.strategy, facts.embedding, facts.asked) == (name, embedding, 6)
        assert facts.candidates == len(study.store.images(Split.TRAIN)) and facts.seconds >= 0

    def test_the_same_seed_asks_the_same_and_each_cold_start_another(self, start):
        first = {name: asked(start(name, folder=f"{name} 1")) for name in COLD}
        again = {name: asked(start(name, folder=f"{name} 2")) for name in COLD}
        assert first == again and len({tuple(sorted(images)) for images in first.values()}) == 3

    def test_random_stays_what_it_was(self, start, hidden, tiny_overrides, tmp_path):
        plain = Study.create(tmp_path / "plain", hidden[1], config=load_config(None, tiny_overrides))
        assert plain.ask() == start("random").ask()
        assert plain.round(0).select.strategy == "random"

    def test_killed_before_the_commit_it_asks_the_same(self, start, hidden, tiny_overrides, tmp_path):
        def stop(event):
            raise KeyboardInterrupt

        study = Study.create(tmp_path / "killed", hidden[1], config=config_of(tiny_overrides, "typiclust"))
        with pytest.raises(KeyboardInterrupt):
            study.step(on_event=stop)
        assert study.store.position == (0, Phase.SELECT)
        assert Study.open(tmp_path / "killed").ask() == start("typiclust").ask()

    @pytest.mark.parametrize("name", ["k_center", "typiclust"])
    def test_unreadable_images_are_quarantined_and_the_budget_is_spent_all_the_same(self, start, hidden, name, tmp_path):
        broken = tmp_path / "broken.png"
        broken.write_bytes(b"no picture")
        pool = [record.image_id for record in hidden[1].images if record.split is Split.TRAIN]
        bad = set(pool[::4])
        images = tuple(replace(record, uri=broken) if record.image_id in bad else record for record in hidden[1].images)
        study = start(name, dataset=replace(hidden[1], images=images))
        assert set(study.store.quarantined()) == bad
        assert len(asked(study)) == 6 and not bad & set(asked(study))

    def test_val_is_drawn_at_random_beside_it_the_same_for_every_cold_start(self, start, digits):
        bare = replace(digits, labels={}, images=tuple(replace(record, split=None) for record in digits.images))
        drawn = {}
        for name in COLD:
            items = start(name, "budget.validation=3", dataset=bare, folder=name).ask().items
            drawn[name] = [item.image_id for item in items if item.split is Split.VAL]
            train = {item.image_id for item in items if item.split is Split.TRAIN}
            assert len(drawn[name]) == 3 and len(train) == 6 and not train & set(drawn[name])
        assert drawn["random"] == drawn["k_center"] == drawn["typiclust"]

    def test_what_is_labelled_already_is_covered(self, start, digits):
        pool = [record for record in digits.images if record.split is Split.TRAIN]
        given = {record.image_id for record in pool[:4]}
        labels = {i: boxes for i, boxes in digits.labels.items() if i in given}
        study = start("k_center", dataset=replace(digits, labels=labels, images=tuple(pool)), folder="given")
        assert len(asked(study)) == 2 and not given & set(asked(study))

    def test_nothing_left_to_ask_costs_nothing(self, start, digits):
        pool = tuple(record for record in digits.images if record.split is Split.TRAIN)
        study = start("typiclust", "budget.validation=0", dataset=replace(digits, images=pool[:8]), folder="all given")
        assert asked(study) == [] and study.round(0).select.strategy == "random"

    @pytest.mark.slow
    def test_later_rounds_leave_out_near_duplicates(self, start, hidden):
        study = start("typiclust", "strategy.name=k_center", "strategy.duplicates=0.99", "scorer.name=none", "budget.rounds=1")
        assert study.run(hidden[0]) is Phase.DONE
        assert len(set(study.store.query(1).image_ids)) == 4

    def test_an_unknown_cold_start_is_one_clear_message(self, tiny_overrides):
        with pytest.raises(ConfigError, match=r"Unknown cold start 'coldest'.*k_center.*random.*typiclust"):
            check(config_of(tiny_overrides, "coldest"), ("a",))


ARMS = ("random", "cold_typiclust", "entropy+cold_start.name=typiclust", "random+train.start=previous")


@pytest.fixture(scope="module")
def plan(digits, tiny_overrides, tmp_path_factory):
    config = load_config(None, [*tiny_overrides, "budget.rounds=0"])
    return Plan(digits, config, ARMS, (0,), tmp_path_factory.mktemp("cold"))


@pytest.fixture(scope="module")
def cells(plan):
    return {cell.arm: cell for cell in simulate(plan)}


class TestSimulation:
    @pytest.mark.slow
    def test_arms_that_start_alike_share_a_trunk(self, plan, cells):
        random, cold = plan.trunks(0)
        assert (random.arms, cold.arms) == ((ARMS[0], ARMS[3]), ARMS[1:3])
        assert random.folder.name == ".trunk_seed0" and sorted(p.name for p in (plan.folder / "cells").glob(".trunk*")) == sorted(
            trunk.folder.name for trunk in (random, cold)
        )

    @pytest.mark.slow
    def test_they_are_paired_bit_for_bit_and_others_are_not(self, cells):
        weights = {arm: (cell.folder / "rounds/round_00/weights.pt").read_bytes() for arm, cell in cells.items()}
        first = {arm: [item.image_id for item in cell.rounds[0].items] for arm, cell in cells.items()}
        for one, other in ((0, 3), (1, 2)):
            assert weights[ARMS[one]] == weights[ARMS[other]] and first[ARMS[one]] == first[ARMS[other]]
        assert first["random"] != first["cold_typiclust"] and weights["random"] != weights["cold_typiclust"]

    @pytest.mark.slow
    def test_every_arm_pays_the_same_and_keeps_its_config(self, cells):
        assert {cell.rounds[-1].annotate.images for cell in cells.values()} == {6}
        assert (
            cells["cold_typiclust"].config["cold_start"]["name"] == "typiclust" and cells["random"].config["cold_start"]["name"] == "random"
        )

    @pytest.mark.slow
    def test_side_by_side_and_again_is_the_same(self, plan, cells, tmp_path):
        beside = simulate(replace(plan, folder=tmp_path, arms=ARMS[:2]), jobs=2)
        assert {cell.arm for cell in beside} == set(ARMS[:2])
        for cell in beside:
            assert [r.evaluate for r in cell.rounds] == [r.evaluate for r in cells[cell.arm].rounds]
        assert {cell.arm for cell in simulate(plan)} == {cell.arm for cell in read_simulation(plan.folder)} == set(ARMS)

    @pytest.mark.parametrize(
        ("part", "own"),
        [
            ("train.lr=0.5", True),
            ("detector.imgsz=64", True),
            ("budget.initial=9", True),
            ("annotator.miss=0.5", True),
            ("cost.draw=9", True),
            ("cold_start.name=k_center+cold_start.embedding=vae", True),
            ("budget.per_round=9", False),
            ("cold_start.name=k_center+embedding.dinov2_small.weights=a", True),
            ("embedding.name=backbone", False),
            ("embedding.dinov2_small.weights=a", False),
            ("strategy.duplicates=0.9", False),
            ("scorer.vae.steps=3", False),
            ("ask.mode=review", False),
        ],
    )
    def test_a_trunk_of_its_own_for_what_round_0_sees(self, plan, part, own):
        other = replace(plan, arms=("random", f"random+{part}"))
        assert len(other.trunks(0)) == 1 + own
        assert [trunk.config.strategy for trunk in other.trunks(0)] == [without_arms(plan.config).strategy] * (1 + own)

    def test_the_vae_is_part_of_what_round_0_sees_where_it_embeds(self, plan):
        vae = "random+cold_start.name=k_center+cold_start.embedding=vae"
        first, second = replace(plan, arms=(vae, f"{vae}+scorer.vae.steps=3")).trunks(0)
        assert (first.config.scorer.vae.steps, second.config.scorer.vae.steps) == (6, 3)

    def test_so_are_the_weights_of_another_embedder(self, plan):
        dino = "random+cold_start.name=k_center+cold_start.embedding=dinov2_small"
        first, second = replace(plan, arms=(dino, f"{dino}+embedding.dinov2_small.weights=a")).trunks(0)
        assert [t.config.embedding.dinov2_small.weights for t in (first, second)] == ["facebook/dinov2-small", "a"]

    def test_the_first_training_learns_at_the_rate_of_its_arm(self, plan):
        assert [t.config.train.lr for t in replace(plan, arms=("random", "random+train.lr=0.5")).trunks(0)] == [plan.config.train.lr, 0.5]

"""Names become objects, and arms become overrides."""

from importlib import import_module

import pytest

from boxwise.config import StudyConfig, load_config
from boxwise.detectors.names import DETECTORS as OWN_DETECTORS
from boxwise.detectors.network import Network
from boxwise.errors import ConfigError, named
from boxwise.registry import (
    ARMS,
    ASK_MODES,
    POLICIES,
    SCORERS,
    STRATEGIES,
    arm_keys,
    arm_overrides,
    needs_oracle,
    own_overrides,
    role_of,
    settled,
    without_effect,
)
from boxwise.rounds import check
from boxwise.simulation.benchmark import load_preset, preset_names


def configured(arm: str) -> StudyConfig:
    return load_config(None, arm_overrides(arm))


class TestArms:
    @pytest.mark.parametrize("arm", ARMS)
    def test_a_name_means_its_overrides(self, arm):
        assert arm_overrides(arm) == ARMS[arm]

    def test_a_name_with_overrides(self):
        assert arm_overrides("random+train.lr=0.5+threads=3") == (*ARMS["random"], "train.lr=0.5", "threads=3")
        assert arm_overrides("alpha=0+train.lr=0.5") == (*ARMS["alpha=0"], "train.lr=0.5")

    def test_overrides_alone_change_the_arm_of_the_default_strategy(self):
        assert arm_overrides("train.lr=0.5") == (*ARMS[StudyConfig().strategy.name], "train.lr=0.5")

    @pytest.mark.parametrize("mode", ASK_MODES)
    def test_an_ask_mode(self, mode):
        config = configured(f"random+{mode}")
        assert (config.strategy.name, config.ask.mode, config.policy.name) == ("random", mode, "all_labeled")

    @pytest.mark.parametrize("name", POLICIES)
    def test_a_policy_with_an_ask_mode(self, name):
        config = configured(f"dual+review+{name}")
        assert (config.scorer.name, config.ask.mode, config.policy.name) == ("dual", "review", name)

    def test_the_order_of_the_parts_does_not_matter(self):
        assert set(arm_overrides("topk_ratio+review+dual")) == set(arm_overrides("dual+review+topk_ratio"))
        assert configured("scorer.alpha=0.2+alpha=0").scorer.dual.alpha == 0.2

    def test_a_mode_or_policy_alone_changes_the_arm_of_the_default_strategy(self):
        assert arm_overrides("trust+v1") == (*ARMS[StudyConfig().strategy.name], "ask.mode=trust", "policy.name=v1")

    def test_a_mode_with_overrides(self):
        config = configured("dual+trust+policy.self_weight=0.5")
        assert (config.ask.mode, config.policy.self_weight) == ("trust", 0.5)

    def test_its_keys_are_what_a_comparison_lets_it_decide(self):
        assert arm_keys("random+budget.rounds=6") == {"scorer.name", "strategy.name", "budget.rounds"}
        assert arm_keys("cold_k_center+review") == {"scorer.name", "strategy.name", "cold_start.name", "ask.mode"}
        assert {"device", "detector.name"} <= arm_keys("random+device=cpu")  # detector.name=auto is another one there
        assert arm_keys("of_a_later_version") == set(StudyConfig.model_fields)

    @pytest.mark.parametrize("arm", ["duel", "dual+detection", "gamma=1", "dual+gamma=1", "dual+", "", "+", "dual+reviews"])
    def test_an_unknown_part_lists_the_known_ones(self, arm):
        with pytest.raises(ConfigError) as caught:
            arm_overrides(arm)
        assert all(name in str(caught.value) for name in ("dual", "oracle_loss", "review", "topk_ratio", "key=value"))

    def test_the_nearest_name_is_proposed(self):
        with pytest.raises(ConfigError, match=r"'topk_ration'\. Did you mean 'topk_ratio'"):
            arm_overrides("dual+review+topk_ration")

    @pytest.mark.parametrize("arm", ["dual+random", "dual+full+review", "dual+v1+v1plus", "dual+dual"])
    def test_two_of_a_kind_contradict_each_other(self, arm):
        with pytest.raises(ConfigError, match="at most one of each kind"):
            arm_overrides(arm)

    def test_no_name_means_two_things(self):
        names = [*ARMS, *ASK_MODES, *POLICIES]
        assert len(set(names)) == len(names)
        assert not any("+" in name for name in names)


def test_a_policy_that_judges_self_labels_needs_a_mode_that_has_them():
    with pytest.raises(ConfigError, match=r"topk_ratio needs .*ask\.mode review or trust, found full"):
        check(configured("dual+full+topk_ratio"), ("a",))


@pytest.mark.parametrize(
    ("device", "hint"), [("CPU", "Did you mean 'cpu'?"), ("tpu", ""), ("gpu", ""), ("cuda:one", ""), ("onnxcpu", ""), ("", "")]
)
def test_what_is_no_device_is_refused_before_anybody_labels(device, hint):
    with pytest.raises(ConfigError, match=r"Expected one of: auto, cpu, cuda, cuda:N, mps, onnx") as refused:
        check(load_config(None, [f"device='{device}'"]), ("cat",))
    assert f"device={device!r} is not a device." in str(refused.value) and hint in str(refused.value)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:12", "mps"])
def test_a_device_of_another_machine_is_taken(device):
    check(load_config(None, [f"device={device}"]), ("cat",))


@pytest.mark.parametrize(("key", "auto"), [("scorer", True), ("detector", True), ("strategy", False)])
def test_auto_is_among_the_known_names_where_it_is_one(key, auto):
    with pytest.raises(ConfigError, match="Unknown") as refused:
        check(load_config(None, [f"{key}.name=Auto"]), ("cat",))
    assert ("Did you mean 'auto'?" in str(refused.value)) is auto and (" auto," in str(refused.value)) is auto


def test_an_unknown_name_prints_the_known_ones():
    with pytest.raises(ConfigError, match=r"Unknown strategy 'topk'\. Did you mean 'top_k'\? Known: .*random"):
        named("strategy", STRATEGIES, "topk")


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (["scorer.dual.alpha=0.3"], "scorer.dual.alpha has no effect: scorer.name is none."),
        (["scorer.alpha=0.3", "strategy.name=top_k"], None),
        (["strategy.name=ppal", "strategy.oversample=8"], None),
        (["strategy.name=random", "strategy.oversample=8"], "strategy.oversample has no effect: strategy.name is random."),
        (["policy.ratio_train=0.5"], "policy.ratio_train has no effect: policy.name is all_labeled."),
        (["embedding.efficientnet_lite0.weights=here"], "embedding.efficientnet_lite0.weights has no effect: embedding.name is detector."),
        (["embedding.efficientnet_lite0.weights=here", "cold_start.embedding=efficientnet_lite0", "cold_start.name=k_center"], None),
        (["strategy.duplicates=0.9", "train.lr=0.1"], None),  # no options of one method
    ],
)
def test_an_option_of_a_method_that_is_not_used_is_named(overrides, why):
    assert without_effect(load_config(None, overrides), overrides) == ([] if why is None else [why])


FULL = "ask.mode is full, where people draw everything."
DRAWN = "ask.mode is full, where every box is a person's."
NOT_BY_EMBEDDINGS = "strategy random goes by no embeddings."


@pytest.mark.parametrize(
    ("key", "others", "why"),
    [
        ("ask.certain=0.5", (), FULL),
        ("ask.target_precision=0.9", (), FULL),
        ("ask.overlap=0.6", (), FULL),
        ("ask.uncertain=0.2", ("policy.name=ceal",), None),
        ("ask.certain=0.5", ("ask.mode=review",), None),
        ("ask.mode=full", (), None),
        ("ask.certain=0.5", ("ask.mode=review", "ask.target_precision=0.9"), "ask.target_precision finds it on val."),
        ("ask.target_precision=0.9", ("ask.mode=review", "ask.certain=0.5"), None),
        ("ask.confidence=0.95", ("ask.mode=review",), "ask.target_precision is not given."),
        ("ask.confidence=0.95", ("ask.mode=review", "ask.target_precision=0.9"), None),
        ("policy.self_weight=0.1", (), None),  # boxes of the model of earlier rounds, asked otherwise, are weighted by it
        ("policy.self_weight=0.1", ("policy.name=sample_mining",), None),
        ("policy.self_weight=0.1", ("ask.mode=trust",), None),
        ("embedding.name=vae", ("strategy.name=random",), NOT_BY_EMBEDDINGS),
        ("embedding.name=vae", ("strategy.name=random", "strategy.duplicates=0.9"), None),
        ("embedding.name=vae", (), None),  # facility_location
        ("embedding.dinov2_small.weights=here", ("strategy.name=random", "embedding.name=dinov2_small"), NOT_BY_EMBEDDINGS),
        ("cold_start.embedding=vae", (), "cold_start.name is random."),
        ("cold_start.embedding=vae", ("cold_start.name=k_center",), None),
        ("scorer.vae.steps=9", (), "no VAE is trained."),
        ("scorer.vae.steps=9", ("strategy.name=top_k",), None),
        ("scorer.vae.steps=9", ("strategy.name=top_k", "scorer.dual.alpha=0"), "no VAE is trained."),
        ("scorer.vae.steps=9", ("embedding.name=vae",), None),
        ("scorer.vae.steps=9", ("embedding.name=vae", "strategy.name=random"), "no VAE is trained."),
        ("scorer.vae.steps=9", ("cold_start.embedding=vae", "cold_start.name=k_center"), None),
        ("scorer.vae.train_on=all", ("strategy.name=top_k",), None),
        ("scorer.vae.train_on=all", ("embedding.name=vae",), "an embedder's VAE learns from all images."),
        ("scorer.dual.reconstruction=raw", ("strategy.name=top_k", "scorer.dual.alpha=0"), "scorer.dual.alpha is 0."),
        ("scorer.dual.reconstruction=raw", ("strategy.name=top_k",), None),
        ("scorer.dual.detection=pseudo", ("strategy.name=top_k", "scorer.dual.beta=0"), "scorer.dual.beta is 0."),
        ("annotator.jitter=0.1", (), "only a simulated annotator has habits."),
        ("annotator.miss=0.5", ("ask.mode=review",), "only a simulated annotator has habits."),
        ("labelling.sam2=there", (), "labelling.assist is model."),
        ("labelling.sam2=there", ("labelling.assist=sam2",), None),
        ("detector.nms_iou=0.6", ("detector.name=dfine_s",), "dfine_s finds each object once, and suppresses none."),
        ("detector.nms_iou=0.6", (), None),
        ("train.momentum=0.6", ("train.optimizer=adamw",), "train.optimizer is adamw."),
        ("train.momentum=0.6", ("detector.name=yolox_nano",), "yolox_nano is trained by AdamW."),
        ("train.momentum=0.6", ("detector.name=yolox_nano", "train.optimizer=sgd"), None),
        ("train.momentum=0.6", ("detector.name=tiny_ssd",), None),
        ("train.milestones=[0.3]", ("train.schedule=cosine",), "train.schedule is cosine."),
        ("train.milestones=[0.3]", (), "train.schedule is auto."),
        ("train.milestones=[0.3]", ("train.schedule=multistep",), None),
        ("train.warmup_steps=9", ("train.schedule=onecycle",), "train.schedule is onecycle, which has a rise of its own."),
        ("train.warmup_steps=9", (), None),
        ("train.patience=0.2", (), None),
        ("train.patience=0.2", ("train.schedule=plateau", "train.steps=90"), None),
        ("train.patience=0.2", ("train.schedule=cosine",), "train.schedule is cosine."),
        ("train.patience=0.2", ("train.val_every=0",), "train.val_every is 0."),
        ("train.patience=0.2", ("train.val_every=9", "train.ap_shift=0.1"), "train.ap_shift ends the training."),
        ("train.patience=0.2", ("train.steps=90",), "train.min_steps and train.max_steps are the same."),
        ("train.epochs=9", ("train.steps=90",), "train.min_steps and train.max_steps are the same."),
        ("train.epochs=9", (), None),
        ("train.ap_range=3", (), "train.ap_shift is 0."),
        ("train.ap_range=3", ("train.ap_shift=0.1", "train.val_every=9"), None),
        ("train.amp=false", ("device=cpu",), "device is cpu."),
        ("train.amp=false", (), None),
        ("budget.validation=9", ("train.folds=3",), "train.folds is 3."),
        ("budget.validation=9", (), None),
        ("stop.ap_range=3", (), None),  # dashboard and report say by it whether AP still moves
    ],
)
def test_a_key_that_nothing_reads_is_named(key, others, why):
    config = load_config(None, (*others, key))
    assert without_effect(config, [key]) == ([] if why is None else [f"{key.partition('=')[0]} has no effect: {why}"])


@pytest.mark.parametrize("name", OWN_DETECTORS)
def test_momentum_is_idle_for_the_detectors_whose_recipe_is_adamw(name):
    module = import_module(OWN_DETECTORS[name].builder.partition(":")[0])
    networks = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Network) and one is not Network]
    by_adamw = {network.recipe.optimizer for network in networks} == {"adamw"}
    momentum = ["train.momentum=0.6"]
    assert bool(without_effect(load_config(None, [f"detector.name={name}", *momentum]), momentum)) is by_adamw


@pytest.mark.parametrize(
    ("key", "idle"),
    [("annotator.jitter=0.1", False), ("stop.ap_range=3", False), ("train.milestones=[0.3]", True), ("train.patience=0.2", False)],
)
def test_what_leaves_an_arm_of_a_simulation_as_it_was_is_named(key, idle):
    assert bool(without_effect(load_config(None, [key]), [key], simulated=True, val_images=9)) is idle


def test_val_images_that_are_there_leave_none_to_draw():
    key = "budget.validation=9"
    assert without_effect(load_config(None, [key]), [key], val_images=0) == []
    assert without_effect(load_config(None, [key]), [key], val_images=9) == ["budget.validation has no effect: val has images already."]


@pytest.mark.parametrize(("others", "idle"), [((), True), (("policy.name=sample_mining",), False), (("ask.mode=trust",), False)])
def test_where_the_mode_stays_what_it_is_boxes_of_people_need_no_weight(others, idle):
    config = load_config(None, (*others, "policy.self_weight=0.1"))
    found = without_effect(config, ["policy.self_weight=0.1"], simulated=True)
    assert found == ([f"policy.self_weight has no effect: {DRAWN}"] if idle else [])


def test_what_the_page_alone_reads_has_no_effect_in_a_simulation():
    config, keys = load_config(None, ["ask.uncertain=0.2", "labelling.follow=overlap"]), ["ask.uncertain=0.2", "labelling.follow=overlap"]
    assert without_effect(config, keys) == []
    assert without_effect(config, keys, simulated=True) == [
        f"ask.uncertain has no effect: {FULL}",
        "labelling.follow has no effect: nobody labels by hand in a simulation.",
    ]


@pytest.mark.parametrize(
    ("others", "val_images", "idle"),
    [
        (("budget.validation=0",), 0, True),
        (("budget.validation=0",), 20, False),
        (("budget.validation=0",), None, False),  # unknown yet
        (("budget.validation=0", "budget.val_per_round=2"), 0, False),
        (("budget.validation=0", "train.folds=3"), 0, False),
        ((), 0, False),
    ],
)
def test_an_early_stop_without_val_stops_nothing(others, val_images, idle):
    keys = ["train.ap_shift=0.01", "train.val_every=20"]
    found = without_effect(load_config(None, (*keys, *others)), keys, val_images=val_images)
    assert found == [f"{key.partition('=')[0]} has no effect: there is no val to judge by." for key in keys if idle]


@pytest.mark.parametrize("arm", ARMS)
def test_no_arm_of_ours_names_a_key_without_effect(arm):
    assert without_effect(configured(arm), arm_overrides(arm), simulated=True) == []


@pytest.mark.parametrize("name", preset_names())
def test_no_arm_of_a_preset_names_a_key_without_effect(name):
    preset = load_preset(name)
    for arm in (*preset.arms, *preset.checks):
        assert without_effect(configured(arm), own_overrides(arm), simulated=True) == []


class TestScorerOfAStrategy:
    """What `scorer.name=auto` stands for."""

    @pytest.mark.parametrize(
        ("strategy", "scorer"), [("top_k", "dual"), ("ppal", "difficulty"), ("gain_per_second", "forecast"), ("k_center", "none")]
    )
    def test_is_the_one_that_it_goes_by(self, strategy, scorer):
        config = settled(load_config(None, [f"strategy.name={strategy}"]))
        assert config.scorer.name == scorer
        check(config, ("a",))

    def test_is_known(self):
        named_ones = {method.scorer for method in STRATEGIES.values()} - {None}
        assert named_ones and named_ones <= set(SCORERS)

    def test_is_none_for_the_default(self):
        assert (settled(StudyConfig()).strategy.name, settled(StudyConfig()).scorer.name) == ("facility_location", "none")

    @pytest.mark.parametrize("strategy", ["top_k", "score_then_diversity", "score_sampling", "ppal", "pal", "cald"])
    def test_cannot_be_none_where_it_is_nothing_without_scores(self, strategy):
        usual = STRATEGIES[strategy].scorer
        with pytest.raises(
            ConfigError, match=rf"strategy {strategy} needs .*a scorer, found scorer\.name=none\. Give scorer\.name={usual}"
        ):
            check(load_config(None, ["scorer.name=none", f"strategy.name={strategy}"]), ("a",))

    def test_may_be_none_where_it_does_without(self):
        check(load_config(None, ["scorer.name=none", "strategy.name=gain_per_second"]), ("a",))

    def test_an_unknown_strategy_is_named_and_no_scorer(self):
        with pytest.raises(ConfigError, match="Unknown strategy 'topk'"):
            check(load_config(None, ["strategy.name=topk"]), ("a",))

    @pytest.mark.parametrize("arm", ARMS)
    def test_every_arm_names_both(self, arm):
        keys = {override.partition("=")[0] for override in ARMS[arm]}
        assert {"scorer.name", "strategy.name"} <= keys


ORACLES = ("oracle_loss", "dual+scorer.detection=oracle_loss", "dual+scorer.name=detection_loss+scorer.detection=oracle_loss")


class TestRoles:
    @pytest.mark.parametrize("arm", ORACLES)
    def test_whatever_looks_at_ground_truth_is_an_upper_bound_and_no_study(self, arm):
        assert role_of(arm, configured(arm)) == "upper bound"
        check(configured(arm), ("a",), simulated=True)
        with pytest.raises(ConfigError, match="exists in a simulation only"):
            check(configured(arm), ("a",))

    @pytest.mark.parametrize("arm", ["dual", "oracle_loss+scorer.beta=0", "oracle_loss+scorer.name=none+strategy.name=random"])
    def test_an_arm_that_reads_no_ground_truth_is_none(self, arm):
        assert role_of(arm, configured(arm)) == "arm" and not needs_oracle(configured(arm))

    def test_overrides_leave_a_floor_and_a_ceiling_what_they_are(self):
        assert role_of("fewest+train.lr=0.02", configured("fewest+train.lr=0.02")) == "floor"
        assert role_of("everything+train.lr=0.02", configured("everything+train.lr=0.02")) == "ceiling"

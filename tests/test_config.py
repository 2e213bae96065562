from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from boxwise.config import (
    StudyConfig,
    differences,
    dump_config,
    known_keys,
    load_config,
    mapping_of,
    override_keys,
    parse_config,
    preset_file,
    resolve,
)
from boxwise.config.faults import sentences_of
from boxwise.errors import ConfigError
from boxwise.registry import check, settled


def test_overrides_stand_above_the_file(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("seed: 3\ntrain: {epochs: 7, lr: 0.5}\n")
    config = load_config(file, ["train.epochs=9", "detector.imgsz=160"])
    assert (config.seed, config.train.epochs, config.train.lr, config.detector.imgsz) == (3, 9, 0.5, 160)


def test_a_dumped_config_reads_back_equal(tmp_path):
    config = load_config(None, ["scorer.alpha=auto", "scorer.beta=auto", "budget.initial=5%"])
    (tmp_path / "c.yaml").write_text(dump_config(config))
    assert load_config(tmp_path / "c.yaml") == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=3", "Did you mean 'train.epochs'"),
        ("sed=1", "Did you mean 'seed'"),
        ("train.lr=inf", "train.lr: .*finite number.*found .inf"),
        ("train.batch=true", "train.batch: expected a number, found True"),
        ("train.epochs=0", "train.epochs: .*greater than or equal to 1.*found 0"),
        ("train.optimizer=adam", "'sgd' or 'adamw'.*found 'adam'"),
        ("scorer.alpha=-1", "0 or larger"),
        ("scorer.alpha=auto", "together"),
        ("strategy.weight=2", r"weight is 2, expected 0 \(coverage alone\) to 1"),
        ("budget.initial=5percent", "expected a count such as 50 or a share"),
        ("budget.validation=0.2", "^config: budget.validation: expected a count such as 50 or a share such as '5%', found 0.2.$"),
        ("budget.initial=null", "^config: budget.initial: expected a count such as 50 or a share such as '5%', found nothing.$"),
        ("budget.val_per_round=[1]", r"^config: budget.val_per_round: expected a count .*, found \[1\].$"),
        ("budget.per_round=true", "^config: budget.per_round: expected a number, found True.$"),
        ("scorer.dual.alpha=x", "^config: scorer.dual.alpha: expected a valid number or 'auto', found 'x'.$"),
        ("strategy.weight=null", "^config: strategy.gain_per_second.weight: expected a valid number or 'fidelity', found nothing.$"),
        ("scorer.forecast.parts=[all]", "^config: scorer.forecast.parts.0: .* 'learned' or 'uncertain', found 'all'.$"),
        ("train.milestones=0.5", r"^config: train.milestones: expected a list such as \[0.5\], found 0.5.$"),
        ("train.lrr=1", "^config: Unknown key 'train.lrr'. Did you mean 'train.lr'. Known: "),
        ("train.lr=abc", "^config: train.lr: expected a valid number, found 'abc'.$"),
        ("train.lr={a: 1}", "^config: train.lr: expected a valid number, found a mapping of keys.$"),
        ("train.epochs=2.5", "^config: train.epochs: expected a valid integer, found 2.5.$"),
        ("train.epochs=0", "^config: train.epochs: expected a number greater than or equal to 1, found 0.$"),
        ("train.schedule=one", "^config: train.schedule: expected '.*', .* or '.*', found 'one'.$"),
        ("ask.certain_of=0.5", "^config: ask.certain_of: expected a mapping of keys, found 0.5.$"),
        ("train=5", "^config: train: expected a mapping of keys, found 5.$"),
        ("train.ap_shift=0.1", "val_every"),
        ("train.min_steps=30000", "above max_steps"),
        ("budget={rounds: 3, rounds: 4}", "not YAML .line 1 gives 'rounds' a second time"),
        ("detector.weights=\udcff.pth", "not YAML"),
        ("epochs", "expected key=value"),
        ("seed.value=1", "seed"),
        ("seed=[", "not YAML"),
    ],
)
def test_a_wrong_key_or_value_is_one_clear_message(override, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(None, [override])
    assert "\n" not in str(caught.value)


KEYS_OF_AMOUNTS = ("initial", "per_round", "validation", "val_per_round")


@pytest.mark.parametrize("key", KEYS_OF_AMOUNTS)
@pytest.mark.parametrize("value", [5.0, np.int64(5), np.uint8(5), np.float32(5), Decimal(5), Fraction(5)], ids=repr)
def test_a_count_may_be_any_whole_number(key, value):
    amount = getattr(parse_config({"budget": {key: value}}, "config").budget, key)
    assert type(amount) is int and amount == 5


@pytest.mark.parametrize("key", KEYS_OF_AMOUNTS)
@pytest.mark.parametrize(
    "value",
    [5.5, np.float32(5.5), Decimal("5.5"), 1e300, float("nan"), float("-inf"), Decimal("nan"), Decimal("inf"), np.bool_(1)],
    ids=repr,
)
def test_what_is_no_count_is_said_so(key, value):
    with pytest.raises(ConfigError) as caught:
        parse_config({"budget": {key: value}}, "config")
    assert str(caught.value) == f"config: budget.{key}: expected a count such as 50 or a share such as '5%', found {value!r}."


def test_true_is_no_count():
    with pytest.raises(ConfigError, match=r"^config: budget\.initial: expected a number, found True\.$"):
        parse_config({"budget": {"initial": True}}, "config")


def test_of_a_value_of_several_kinds_only_what_it_should_be_is_put_together():
    def fault(kind, message):
        return {"type": "made_up", "loc": ("scorer", "dual", "alpha", kind), "msg": message, "input": 7}

    should = [fault("float", "Input should be a valid number, unable to parse"), fault("literal", "Input should be 'auto'")]
    assert list(sentences_of(should, StudyConfig)) == ["scorer.dual.alpha: expected a valid number or 'auto', found 7."]
    other = [fault("float", "Unable to read it"), fault("literal", "Input should be 'auto'")]
    assert list(sentences_of(other, StudyConfig)) == ["scorer.dual.alpha: Unable to read it, found 7."]


def test_no_value_is_answered_by_a_key_that_there_is_not_or_twice():
    refused = set()
    for key in known_keys():
        for value in ("0.2", "null", "x", "[1]", "[x]", "true", "{a: b}"):
            try:
                load_config(None, [f"{key}={value}"])
            except ConfigError as error:
                (said,) = str(error).splitlines()
                place = said.removeprefix("config: ").partition(": ")[0]
                of_a_part = place.startswith(f"{key}.") and value[0] in "[{" and place.removeprefix(f"{key}.") in ("0", "a")
                assert place == key or key.startswith(f"{place}.") or of_a_part, said
                refused.add(key)
    assert refused == set(known_keys())


def test_every_fault_of_a_file_is_named_with_the_file(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("sed: 1\ntrain: {epochs: 0}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert len(str(caught.value).splitlines()) == 2 and str(caught.value).count(str(file)) == 2


@pytest.mark.parametrize("text", ["- a list", "a: [", "\udcff"])
def test_a_file_that_is_no_mapping(tmp_path, text):
    file = tmp_path / "bad.yaml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_config(file)


@pytest.mark.parametrize("text", ["seed: 1\ntrain:\n  lr: 0.1\n  lr: 0.2\n", "seed: 1\ntrain: {epochs: 3}\nseed: 2\nlr: 1\n"])
def test_a_key_that_is_there_twice_is_named_with_its_line(tmp_path, text):
    file = tmp_path / "twice.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"twice\.yaml: .*line [34] gives '(lr|seed)' a second time"):
        load_config(file)


def test_what_is_merged_into_a_mapping_may_name_its_keys():
    text = "base: &base {x: 1, y: 2}\na: {inner: &b {<<: *base, x: 5}}\nc: {<<: *base, <<: *b}\n"
    assert mapping_of(text, "text", "of keys")["c"] == {"x": 5, "y": 2}


def test_a_missing_file():
    with pytest.raises(ConfigError, match="no such config file"):
        load_config(Path("nowhere.yaml"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["ask.certain_of={cat: 80}"], r"certain_of\.cat is 80\.0, expected above 0 and at most 1"),
        (["ask.certain_of={cat: 0.9}", "ask.target_precision=0.9"], "give it or certain_of, not both"),
    ],
)
def test_thresholds_that_could_not_be_meant(overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_config(None, overrides)


def test_differences_name_the_keys():
    assert differences(StudyConfig(), load_config(None, ["train.lr=0.5"])) == ["train.lr: None != 0.5"]
    assert differences(StudyConfig(), StudyConfig()) == []


def test_differences_leave_out_keys_and_sections_that_are_named():
    other = load_config(None, ["ask.certain=0.9", "ask.certain_of={cat: 0.8}", "budget.rounds=7"])

    def differing(*but):
        return {each.partition(":")[0] for each in differences(StudyConfig(), other, but=but)}

    assert differing() == {"ask.certain", "ask.certain_of.cat", "budget.rounds"}
    assert differing("ask.certain") == {"ask.certain_of.cat", "budget.rounds"}
    assert differing("ask.certain_of") == {"ask.certain", "budget.rounds"}
    assert differing("ask", "budget") == set()


def test_the_keys_that_overrides_set_are_those_of_today():
    assert override_keys(["train.steps=50", "curriculum.name=v1", "strategy.weight=1", "seed=3"]) == [
        *("train.min_steps", "train.max_steps", "policy.name", "strategy.gain_per_second.weight", "seed"),
    ]


@pytest.mark.parametrize(("amount", "total", "count"), [(7, 1000, 7), ("5%", 1000, 50), ("0.01%", 100, 1), ("0%", 100, 0), (0, 9, 0)])
def test_amounts(amount, total, count):
    assert resolve(amount, total, "x") == count


@pytest.mark.parametrize("amount", [-1, "5", "120%", "nan%", "%"])
def test_amounts_that_are_none(amount):
    with pytest.raises(ValueError, match="x is"):
        resolve(amount, 100, "x")


def test_a_section_is_found_under_the_name_it_had_before():
    older = parse_config({"curriculum": {"name": "v1plus"}}, "config.yaml")
    assert older.policy.name == "v1plus"
    assert load_config(None, ["curriculum.self_weight=0.5"]).policy.self_weight == 0.5


@pytest.mark.parametrize("name", ["laptop", "gpu", "classic-ssd", "modern"])
def test_presets_are_whole_configs_with_names_that_exist(name):
    check(settled(load_config(preset_file(name))))


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"Unknown preset 'lap'.*'laptop'.*classic-ssd, gpu, laptop, modern"):
        preset_file("lap")


def test_auto_is_a_detector_for_the_machine_that_the_study_begins_on():
    assert StudyConfig().detector.name == "auto"
    assert settled(load_config(None, ["device=cpu"])).detector.name == "yolox_nano"
    assert settled(load_config(None, ["detector.name=tiny_ssd"])).detector.name == "tiny_ssd"

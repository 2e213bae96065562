"""`boxwise set` and edits of config.yaml, through the command line."""

import shutil
from pathlib import Path

import yaml

from boxwise.records import Phase
from boxwise.study import Study

FIXTURES = Path(__file__).parents[1] / "store" / "fixtures"


def edit(folder, **sections):
    path = folder / "config.yaml"
    values = yaml.safe_load(path.read_text())
    for section, keys in sections.items():
        values[section] |= keys
    path.write_text(yaml.safe_dump(values))


def test_a_setting_changes_from_the_next_step_on_and_is_recorded(boxwise, waiting_study):
    study = waiting_study("full")
    code, out, err = boxwise("set", study.folder, "train.lr=0.005", "budget.per_round=3", "lr_typo=1")
    assert code == 2 and "lr_typo" in err and Study.open(study.folder).config == study.config
    code, out, err = boxwise("set", study.folder, "train.lr=0.005", "budget.per_round=3")
    assert code == 0 and "budget.per_round: 4 → 3, from select of round 2 on" in out, err
    opened = Study.open(study.folder)
    assert (opened.config.train.lr, opened.config.budget.per_round) == (0.005, 3)
    assert opened.changed_settings()[0]["changes"] == [["budget.per_round", 4, 3], ["train.lr", 0.0025, 0.005]]
    code, out, err = boxwise("set", study.folder)
    assert "train.lr=0.005    # default: null" in out and "\nseed=0\n" in f"\n{out}"
    assert "# before annotate of round 1: budget.per_round 4 → 3" in out


def test_a_key_without_its_section_is_answered_with_the_full_key(boxwise, waiting_study):
    code, _, err = boxwise("set", waiting_study("full").folder, "lr=0.1")
    assert code == 2 and "Did you mean 'train.lr' or 'scorer.vae.lr'?" in err


def test_an_edit_of_the_file_is_noted_then_taken_in(boxwise, waiting_study, hidden):
    study = waiting_study("full")
    edit(study.folder, budget={"per_round": 2}, strategy={"name": "random"})
    code, out, err = boxwise("status", study.folder)
    assert code == 0 and "config.yaml was edited (budget.per_round, strategy.name)" in err
    study.answer(hidden[0])
    study.store.close()
    code, out, err = boxwise("run", study.folder)
    assert code == 0 and "strategy.name: k_center → random, from select of round 2 on" in out, err
    assert "asked for 3 images (random)" in out  # two, and one for val


def test_an_edit_that_is_not_safe_is_refused_before_any_work(boxwise, waiting_study):
    study = waiting_study("full")
    edit(study.folder, detector={"imgsz": 64})
    code, _, err = boxwise("run", study.folder)
    assert code == 2 and "detector.imgsz: rounds trained by different detectors do not compare" in err
    assert Study.open(study.folder).config.detector.imgsz == 96


def test_the_scorer_goes_with_the_strategy_until_another_is_named(boxwise, waiting_study):
    study = waiting_study("full")
    for strategy, scorer in (("top_k", "dual"), ("gain_per_second", "forecast"), ("random", "none"), ("top_k", "dual")):
        code, out, _ = boxwise("set", study.folder, f"strategy.name={strategy}")
        assert code == 0 and f"→ {scorer}" in out and Study.open(study.folder).config.scorer.name == scorer
    assert boxwise("set", study.folder, "scorer.name=uncertainty")[0] == 0
    assert boxwise("set", study.folder, "strategy.name=random")[0] == 0
    assert Study.open(study.folder).config.scorer.name == "uncertainty"


def test_a_strategy_that_is_nothing_without_scores_keeps_a_scorer(boxwise, waiting_study):
    study = waiting_study("full")
    assert boxwise("set", study.folder, "strategy.name=top_k")[0] == 0
    code, _, err = boxwise("set", study.folder, "scorer.name=none")
    assert code == 2 and "strategy top_k needs a scorer, found scorer.name=none. Give scorer.name=dual" in err


def test_a_wrong_edit_of_the_file_can_be_put_right_by_the_command(boxwise, waiting_study):
    study = waiting_study("full")
    edit(study.folder, strategy={"name": "nonsense"})
    assert boxwise("run", study.folder)[0] == 2
    assert boxwise("set", study.folder, "strategy.name=random")[0] == 0
    assert Study.open(study.folder).config.strategy.name == "random"


def test_auto_in_the_file_is_no_edit(boxwise, waiting_study):
    study = waiting_study("full")
    edit(study.folder, scorer={"name": "auto"})
    assert "was edited" not in boxwise("status", study.folder)[2]


def test_an_old_study_whose_strategy_has_no_scores_can_be_changed_elsewhere(boxwise, tmp_path):
    """Such a pair was taken in silence once; it draws at random."""
    study = shutil.copytree(FIXTURES / "schema_8", tmp_path / "past") / "study"
    assert (Study.open(study).config.strategy.name, Study.open(study).config.scorer.name) == ("top_k", "none")
    assert boxwise("set", study, "budget.per_round=4")[0] == 0


def test_the_pool_is_scored_anew_for_a_strategy_that_needs_more(boxwise, waiting_study, hidden):
    study = waiting_study("full")
    study.answer(hidden[0])
    study.extend(2)
    while study.store.position != (2, Phase.SELECT):
        study.step()
    study.store.close()
    assert boxwise("set", study.folder, "strategy.name=badge")[0] == 0
    assert Study.open(study.folder).store.position == (1, Phase.SCORE)


def test_what_is_no_device_is_refused_and_one_of_another_machine_taken_with_a_note(boxwise, waiting_study, hidden):
    study = waiting_study("full")
    code, _, err = boxwise("set", study.folder, "device=CPU")
    assert code == 2 and "device='CPU' is not a device. Did you mean 'cpu'?" in err and Study.open(study.folder).config.device == "auto"
    code, out, err = boxwise("set", study.folder, "device=cuda:99", "annotator.miss=0.5")
    assert code == 0 and "device: auto → cuda:99, from now on" in out
    assert "Note: device=cuda:99 is not available on this machine" in err and "annotator.miss has no effect" in err
    study.answer(hidden[0])
    study.store.close()
    code, _, err = boxwise("run", study.folder)
    assert code == 2 and "Note: device=cuda:99" in err

"""Settings written as options, without their section, or to a command that takes none, are answered with what to write."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("init", "s", "--epochs", "30"), "boxwise init: --epochs is a setting, no option: write train.epochs=30."),
        (("init", "s", "--epochs=30", "--images", "nowhere"), "write train.epochs=30."),
        (("simulate", "--data", "nowhere", "--lr", "0.1"), "write train.lr=0.1 or scorer.vae.lr=0.1."),
        (("benchmark", "--lr"), "write train.lr=VALUE or scorer.vae.lr=VALUE."),
        (("benchmark", "lr=0.1"), "Did you mean 'train.lr' or 'scorer.vae.lr'?"),
        (("init", "s", "--steps", "40"), "write train.steps=40 or scorer.vae.steps=40."),
        (("init", "s", "--min-steps", "40"), "write train.min_steps=40."),
        (("init", "s", "--seed", "1"), "write seed=1."),
        (("init", "s", "--images", "nowhere", "epochs=3"), "Did you mean 'train.epochs'?"),
        (("run", "s", "--epochs", "30"), "settings of a study change with `boxwise set STUDY train.epochs=30`"),
        (("train", "s", "lr=0.1"), "it takes no settings: settings of a study change with `boxwise set STUDY train.lr=0.1"),
        (("set", "s", "--per-hour", "20"), "write cost.per_hour=20."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_setting_is_answered_with_its_full_key(boxwise, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = boxwise(*arguments)
    assert code == 2 and message in err and len(err.splitlines()) == 1


def test_what_is_no_setting_is_refused_as_ever(boxwise):
    code, _, err = boxwise("run", "s", "--nonsense")
    assert code == 2 and "No such option: --nonsense" in err
    code, _, err = boxwise("run", "s", "more")
    assert code == 2 and "unexpected extra argument" in err

"""A fitted scorer's file: what is written is read, and what somebody else has put there runs nothing."""

import os
from pathlib import Path

import pytest
import torch

from boxwise.errors import BoxwiseError
from boxwise.scorers.checked import CheckedScorer
from boxwise.scorers.fitted_file import read_fitted, write_fitted
from boxwise.scorers.no_score import NoScore

CPU = torch.device("cpu")


class Harm:
    """Pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_what_is_written_is_read(tmp_path):
    write_fitted(tmp_path / "scorer.pt", NoScore())
    assert isinstance(read_fitted(tmp_path / "scorer.pt", device=CPU), NoScore)


def test_what_cannot_be_written_is_one_message(tmp_path):
    class Local(NoScore):
        pass

    with pytest.raises(BoxwiseError, match=r"^scorer mine cannot be kept .*Local.*Give it a class at the top of a module"):
        write_fitted(tmp_path / "scorer.pt", CheckedScorer(Local(), "scorer mine"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("function", [os.mkdir, Path.touch, write_fitted])
def test_a_file_that_calls_something_is_not_read_and_calls_nothing(tmp_path, function, inside):
    arguments = (tmp_path / "done",) if function is not write_fitted else (tmp_path / "done", NoScore())
    harm, scorer = Harm(function, *arguments), NoScore()
    scorer.hidden = harm
    torch.save(scorer if inside else harm, tmp_path / "scorer.pt")
    assert read_fitted(tmp_path / "scorer.pt", device=CPU) is None
    assert not (tmp_path / "done").exists()
    torch.load(tmp_path / "scorer.pt", weights_only=False)
    assert (tmp_path / "done").exists()  # so it is harm


def test_a_damaged_file_and_none_are_not_read(tmp_path):
    assert read_fitted(tmp_path / "scorer.pt", device=CPU) is None
    write_fitted(tmp_path / "scorer.pt", NoScore())
    (tmp_path / "scorer.pt").write_bytes((tmp_path / "scorer.pt").read_bytes()[:30])
    assert read_fitted(tmp_path / "scorer.pt", device=CPU) is None


def test_another_packages_scorer_is_read_where_that_package_is_in_use(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "plugin")
    from boxwise_example.scorer import Brightness

    write_fitted(tmp_path / "scorer.pt", Brightness("bright"))
    assert read_fitted(tmp_path / "scorer.pt", device=CPU) is None
    assert isinstance(read_fitted(tmp_path / "scorer.pt", device=CPU, packages={"boxwise_example"}), Brightness)

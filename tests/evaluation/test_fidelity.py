"""Fidelity: rank correlation where there is an order, and weights that follow the evidence only as far as it goes."""

import numpy as np
import pytest

from boxwise.evaluation.fidelity import fit_weights, spearman


class TestSpearman:
    def test_is_one_for_any_rising_relation(self):
        assert spearman([1, 2, 3, 4], [0.1, 10, 100, 1e6]) == pytest.approx(1)

    def test_by_hand(self):
        assert spearman([1, 2, 3, 4], [10, 30, 20, 40]) == pytest.approx(1 - 6 * 2 / (4 * 15))

    @pytest.mark.parametrize(
        ("score", "loss"), [([1, 2], [1, 2]), ([], []), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [5, 5, 5]), ([1, 2, np.nan], [1, 2, 3])]
    )
    def test_has_no_value_without_an_order(self, score, loss):
        assert spearman(score, loss) is None

    def test_leaves_out_what_is_not_finite(self):
        assert spearman([1, 2, 3, np.inf], [1, 2, 3, -5]) == pytest.approx(1)


@pytest.fixture
def evidence():
    """200 images: one term follows the loss, one is noise, one runs against it."""
    rng = np.random.default_rng(0)
    loss = rng.exponential(2, 200)
    z = (loss - loss.mean()) / loss.std()
    return {"useful": z + rng.normal(0, 0.5, 200), "noise": rng.normal(0, 1, 200), "against": -z + rng.normal(0, 0.5, 200)}, loss


class TestWeights:
    def test_the_useful_term_gets_the_weight(self, evidence):
        terms, loss = evidence
        weights = fit_weights({name: terms[name] for name in ("noise", "useful")}, loss, shrink=0)
        assert weights["useful"] > 0.9
        assert sum(weights.values()) == pytest.approx(1)

    def test_a_term_that_runs_against_the_loss_gets_none(self, evidence):
        assert fit_weights(*evidence, shrink=0)["against"] == pytest.approx(0, abs=1e-9)

    def test_the_prior_counts_as_so_many_images(self, evidence):
        terms, loss = evidence
        free, shrunk = (fit_weights(terms, loss, shrink=shrink) for shrink in (0, 200))
        for name in terms:
            assert shrunk[name] == pytest.approx((free[name] + 1 / 3) / 2)

    def test_few_images_stay_near_equal(self, evidence):
        terms, loss = evidence
        few = fit_weights({name: term[:4] for name, term in terms.items()}, loss[:4])
        assert few == {name: pytest.approx(1 / 3, abs=0.06) for name in terms}

    def test_the_level_of_a_term_is_irrelevant(self, evidence):
        terms, loss = evidence
        fair = terms["useful"] + np.random.default_rng(1).normal(0, 1, len(loss))
        weights = fit_weights({"useful": terms["useful"], "fair": fair}, loss)
        lifted = fit_weights({"useful": terms["useful"] + 7, "fair": fair - 2}, loss)
        assert lifted == pytest.approx(weights)

    def test_the_scale_of_the_loss_is_irrelevant(self, evidence):
        terms, loss = evidence
        assert fit_weights(terms, 1000 * loss) == pytest.approx(fit_weights(terms, loss))

    @pytest.mark.parametrize(
        ("term", "loss"),
        [([], []), ([1.0], [1.0]), ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]), ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]), ([np.nan] * 3, [1.0, 2.0, 3.0])],
        ids=["no images", "one image", "constant loss", "nothing helps", "nothing finite"],
    )
    def test_equal_where_nothing_can_be_learned(self, term, loss):
        assert fit_weights({"a": term, "b": term}, loss) == {"a": 0.5, "b": 0.5}

    def test_what_only_falls_from_round_to_round_gets_no_weight(self):
        """Five detectors, each better than the last: the loss falls, and so does a term that cannot tell their images apart."""
        rng = np.random.default_rng(2)
        rounds = np.repeat(np.arange(5), 40)
        useful, noise = rng.normal(0, 1, (2, 200))
        loss = 0.5 * useful + rng.normal(0, 0.5, 200) - 2 * rounds
        terms = {"useful": useful, "noise": noise - rounds}
        assert fit_weights(terms, loss, shrink=0)["noise"] > 0.6
        assert fit_weights(terms, loss, rounds=rounds, shrink=0)["noise"] < 0.15

    def test_losses_that_differ_between_rounds_alone_say_nothing(self):
        assert fit_weights({"a": [0.1, 0.2, 0.3, 0.4], "b": [4, 3, 2, 1]}, [5.1, 5.1, 0.3, 0.3], rounds=[1, 1, 2, 2]) == {
            "a": 0.5,
            "b": 0.5,
        }

    def test_images_that_are_not_finite_are_left_out(self, evidence):
        terms, loss = evidence
        holed = {name: np.append(term, np.nan) for name, term in terms.items()}
        assert fit_weights(holed, np.append(loss, 1e9)) == pytest.approx(fit_weights(terms, loss))

"""Steps, learning rates, parameter groups, averaged weights and the ranking loss, against their definitions."""

import itertools

import pytest
import torch
from dot_network import DotNetwork, LossHead
from torch import nn

from boxwise.config import TrainConfig
from boxwise.detectors.optimization import AveragedWeights, clip, learning_rate, make_optimizer, ranking_loss
from boxwise.detectors.recipe import Recipe, settled, training_steps

STEPS = 1000


def rates(**changes: object) -> list[float]:
    config = settled(TrainConfig.model_validate({"lr": 0.1, "warmup_steps": 50} | changes), Recipe(), val_images=0)
    return [learning_rate(step, STEPS, config) for step in range(STEPS)]


@pytest.mark.parametrize(("images", "expected"), [(10, 300), (1000, 3750), (1001, 3754), (10**6, 20_000)])
def test_steps_are_epochs_within_their_bounds(images, expected):
    assert training_steps(images, TrainConfig(epochs=60, batch=16, min_steps=300)) == expected


class TestLearningRate:
    @pytest.mark.parametrize("schedule", ["cosine", "multistep", "constant"])
    def test_warm_up_rises_evenly_to_lr(self, schedule):
        found = rates(schedule=schedule)
        rises = [b - a for a, b in itertools.pairwise(found[:50])]
        assert max(rises) == pytest.approx(min(rises))
        assert found[50] == pytest.approx(0.1)
        assert max(found) == pytest.approx(0.1)

    def test_cosine_is_half_way_down_half_way_through_and_ends_near_zero(self):
        found = rates(schedule="cosine")
        assert found[525] == pytest.approx(0.05)
        assert found[-1] < 1e-5
        assert found[50:] == sorted(found[50:], reverse=True)

    def test_multistep_drops_by_ten_at_its_milestones(self):
        found = rates(schedule="multistep", milestones=(0.5, 0.8))
        assert [found[step] for step in (499, 500, 799, 800)] == pytest.approx([0.1, 0.01, 0.01, 0.001])

    def test_constant_stays(self):
        assert set(rates(schedule="constant")[50:]) == {0.1}

    @pytest.mark.slow
    def test_one_cycle_equals_torchs(self):
        layer = nn.Linear(1, 1)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        theirs, schedule = [], torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=STEPS, div_factor=25)
        for _ in range(STEPS):
            theirs.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(theirs) < STEPS:
                schedule.step()
        ours = rates(schedule="onecycle")
        assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) < 1e-3
        assert ours[0] == pytest.approx(theirs[0])
        assert ours[-1] == pytest.approx(theirs[-1])

    def test_a_short_training_still_reaches_lr(self):
        config = TrainConfig(lr=0.1, warmup_steps=50, schedule="constant")
        assert learning_rate(5, 8, config) == pytest.approx(0.1)
        assert learning_rate(0, 1, config) == pytest.approx(0.1)


class TestOptimizer:
    def test_adamw_spares_biases_and_norms_from_decay(self):
        network = DotNetwork()
        groups = make_optimizer(
            network, LossHead(4, 1), settled(TrainConfig(optimizer="adamw", weight_decay=0.3), Recipe(), val_images=0)
        ).param_groups
        assert [group["weight_decay"] for group in groups] == [0.3, 0.0, 0.3]
        assert {id(p) for p in groups[0]["params"]} == {id(network.conv.weight), id(network.centre.weight)}

    def test_frozen_parameters_are_left_out(self):
        network = DotNetwork()
        network.conv.requires_grad_(False)
        groups = make_optimizer(network, None, settled(TrainConfig(), Recipe(), val_images=0)).param_groups
        assert not {network.conv.weight, network.conv.bias} & {p for group in groups for p in group["params"]}
        assert [group["weight_decay"] for group in groups] == [5e-4, 0.0]

    @pytest.mark.parametrize(("limit", "expected"), [(1.0, 1.0), (0.0, 5.0), (9.0, 5.0)])
    def test_clip_bounds_the_total_norm_and_returns_it(self, limit, expected):
        grads = [torch.tensor([3.0]), torch.tensor([[4.0]])]
        assert clip(grads, limit) == pytest.approx(5)
        assert float(torch.cat([g.reshape(-1) for g in grads]).norm()) == pytest.approx(expected, abs=1e-4)


class TestRankingLoss:
    def test_is_zero_beyond_the_margin_in_the_right_order_and_grows_in_the_wrong_one(self):
        losses = torch.tensor([5.0, 1.0, 2.0, 3.0])  # pairs (0, 2) and (1, 3)
        assert ranking_loss(torch.tensor([9.0, 0.0, 7.0, 2.0]), losses) == 0
        assert ranking_loss(torch.tensor([7.0, 2.0, 9.0, 0.0]), losses) == pytest.approx(3)

    def test_gives_no_gradient_to_the_losses_and_serves_odd_batches(self):
        predicted, losses = torch.zeros(3, requires_grad=True), torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
        ranking_loss(predicted, losses).backward()
        assert losses.grad is None
        assert predicted.grad is not None
        assert predicted.grad.tolist() == [1.0, -1.0, 0.0]
        assert ranking_loss(torch.ones(1), torch.ones(1)) == 0


class TestAveragedWeights:
    def test_is_the_moving_average_with_a_low_start(self):
        layer = nn.Linear(1, 1, bias=False)
        nn.init.constant_(layer.weight, 0)
        averaged = AveragedWeights([layer], 0.5)
        expected = 0.0
        for value in (1.0, 2.0, 3.0):
            nn.init.constant_(layer.weight, value)
            decay = min(0.5, (1 + averaged.updates) / (10 + averaged.updates))
            expected = decay * expected + (1 - decay) * value
            averaged.update()
        assert float(averaged.average[0]) == pytest.approx(expected)

    def test_swap_twice_is_nothing(self):
        layer = nn.Linear(3, 2)
        averaged = AveragedWeights([layer], 0.9)
        nn.init.constant_(layer.weight, 7)
        averaged.swap()
        assert not (layer.weight == 7).any()
        averaged.swap()
        assert (layer.weight == 7).all()

"""YOLOX's assignment and loss against cases worked by hand, and what they promise beyond the paper."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from made_targets import EVERYWHERE, made
from torch import Tensor
from torchvision.ops import box_iou
from yolox_cases import CELLS, LEVELS, SIDE, cell_at, drawn, unsure

from boxwise.detectors.targets import Target
from boxwise.detectors.yolox import loss
from boxwise.detectors.yolox.loss import Matches, Objects
from boxwise.detectors.yolox.model import Predictions

LOG2 = torch.log(torch.tensor(2.0)).item()
TWO = [[8.0, 8.0, 40.0, 40.0], [20.0, 30.0, 60.0, 60.0]]


def objects(xyxy: list[list[float]], *, images: list[int] | None = None, classes: list[int] | None = None) -> Objects:
    """Of class 0 and in image 0 where nothing else is said."""
    count = len(xyxy)
    labels, places = (torch.tensor([0] * count if each is None else each, dtype=torch.int64) for each in (classes, images))
    return Objects(torch.tensor(xyxy).reshape(-1, 4), labels, torch.ones(count), places)


class TestCandidates:
    def test_lie_inside_the_object_or_near_its_centre(self) -> None:
        """Of a flat object, 40 × 8 around (24, 28): one row of five fine cells inside; near are five columns of centres 8 apart."""
        (chosen,), near = loss.candidate_cells(LEVELS, objects([[4.0, 24.0, 44.0, 32.0]]), 1)
        fine = [(cell % 8, cell // 8) for cell in chosen.tolist() if cell < 64]
        assert fine == [(column, row) for row in (1, 2, 3, 4, 5) for column in (0, 1, 2, 3, 4) if abs(column * 8 + 4 - 24) < 20]
        both = [chosen.tolist()[place] for place in torch.where(near[0])[0]]
        assert [cell for cell in both if cell < 64] == [cell_at(8, column, 3) for column in (1, 2, 3, 4)]

    def test_of_no_object_there_are_none(self) -> None:
        chosen, near = loss.candidate_cells(LEVELS, objects([]), 2)
        assert chosen.shape == (2, 0) and near.shape == (0, 0)

    def test_of_an_object_smaller_than_a_cell_are_those_around_it(self) -> None:
        (chosen,), near = loss.candidate_cells(LEVELS, objects([[30.0, 30.0, 31.0, 31.0]]), 1)
        assert cell_at(8, 3, 3) in chosen.tolist() and not near.any()

    def test_of_an_image_are_those_of_its_own_objects_filled_up_with_none(self) -> None:
        boxes = [[4.0, 24.0, 44.0, 32.0], [30.0, 30.0, 31.0, 31.0], [4.0, 4.0, 8.0, 8.0]]
        chosen, near = loss.candidate_cells(LEVELS, objects(boxes, images=[0, 2, 2]), 3)
        for image, rows in enumerate(([0], [], [1, 2])):
            ((alone,), both) = loss.candidate_cells(LEVELS, objects([boxes[row] for row in rows]), 1)
            assert chosen[image].tolist() == alone.tolist() + [-1] * (chosen.shape[1] - len(alone))
            assert torch.equal(near[rows, : len(alone)], both)


class TestCosts:
    def test_are_the_binary_cross_entropy_of_the_root_of_objectness_and_class(self) -> None:
        generator = torch.Generator().manual_seed(0)
        objectness, classes = torch.randn(2, 5, generator=generator), torch.randn(2, 5, 4, generator=generator)
        belief = (objectness.sigmoid()[..., None] * classes.sigmoid()).sqrt()
        labelled = objects([[0.0] * 4] * 3, images=[0, 0, 1], classes=[2, 0, 2])
        for index, (image, label) in enumerate(((0, 2), (0, 0), (1, 2))):
            truth = F.one_hot(torch.tensor(label), 4).float().expand(5, 4)
            wanted = F.binary_cross_entropy(belief[image], truth, reduction="none").sum(1)
            torch.testing.assert_close(loss.class_costs(objectness, classes, labelled)[index], wanted)

    def test_are_finite_for_a_network_that_is_sure(self) -> None:
        sure = torch.tensor([[200.0, -200.0]]), torch.full((1, 2, 3), 200.0)
        assert loss.class_costs(*sure, objects([[0.0] * 4], classes=[1])).isfinite().all()


class TestSimOta:
    one, two = torch.tensor([0]), torch.tensor([0, 0])

    def test_an_object_takes_as_many_cells_as_its_overlaps_add_up_to(self) -> None:
        costs = torch.tensor([[4.0, 1.0, 3.0, 2.0]])
        overlaps = torch.tensor([[0.9, 0.8, 0.7, 0.2]])  # 2.6: two cells, the cheapest
        assert loss.simota(costs, overlaps, self.one, 1).tolist() == [[-1, 0, -1, 0]]

    def test_at_least_one_cell_however_little_it_overlaps(self) -> None:
        assert loss.simota(torch.tensor([[2.0, 1.0]]), torch.zeros(1, 2), self.one, 1).tolist() == [[-1, 0]]

    def test_only_the_ten_largest_overlaps_count(self) -> None:
        owners = loss.simota(torch.arange(30.0)[None], torch.full((1, 30), 0.55), self.one, 1)
        assert owners.tolist() == [[0] * 5 + [-1] * 25]

    def test_a_cell_that_two_want_goes_to_the_one_it_is_cheapest_for(self) -> None:
        costs = torch.tensor([[1.0, 2.0, 9.0], [0.5, 9.0, 9.0]])
        overlaps = torch.tensor([[1.0, 1.0, 0.1], [1.0, 0.0, 0.0]])
        assert loss.simota(costs, overlaps, self.two, 1).tolist() == [[1, 0, -1]]

    def test_objects_of_different_images_do_not_compete(self) -> None:
        costs = torch.tensor([[1.0, 2.0], [0.5, 9.0]])
        assert loss.simota(costs, torch.zeros(2, 2), torch.tensor([0, 2]), 3).tolist() == [[0, -1], [-1, -1], [1, -1]]

    def test_a_cell_that_an_image_does_not_have_is_never_taken(self) -> None:
        costs = torch.tensor([[1.0, torch.inf, torch.inf]])
        assert loss.simota(costs, torch.tensor([[1.0, 1.0, 1.0]]), self.one, 1).tolist() == [[0, -1, -1]]

    def test_of_two_labels_that_are_the_same_box_one_has_the_cell(self) -> None:
        assert loss.simota(torch.ones(2, 1), torch.ones(2, 1), self.two, 1).tolist() in ([[0]], [[1]])

    @pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0)])
    def test_without_objects_or_cells_nothing_is_matched(self, shape: tuple[int, int]) -> None:
        owners = loss.simota(torch.zeros(shape), torch.zeros(shape), torch.zeros(shape[0], dtype=torch.int64), 2)
        assert (owners < 0).all() and owners.shape == (2, shape[1])


class TestMatch:
    def test_cells_that_predict_the_object_stand_for_it(self) -> None:
        """Two cells predict it exactly and one overlaps it by 1/7: two and a bit, so it gets those two."""
        truth = torch.tensor([[16.0, 16.0, 32.0, 32.0]])
        said = unsure()
        said.boxes[0, torch.arange(CELLS) != cell_at(16, 1, 2), 0] = 100  # far to the right
        good = torch.tensor([cell_at(8, 2, 2), cell_at(16, 1, 1)])
        said.boxes[0, good] = LEVELS[good].encode(truth.expand(2, 4))
        matches = loss.match(said, [made(truth, [3])])
        assert sorted(matches.cells.tolist()) == sorted(good.tolist())
        assert matches.classes.tolist() == [2, 2] and matches.counts.tolist() == [2]
        torch.testing.assert_close(matches.overlaps, torch.ones(2))
        assert int((~matches.background).sum()) == 2

    def test_objects_of_a_batch_stay_with_their_images(self) -> None:
        said = drawn(3)
        targets = [made(TWO[:1], [1], weights=[0.25]), made(), made(TWO, [2, 3], weights=[0.5, 0.75])]
        matches = loss.match(said, targets)
        assert matches.counts[1] == 0 and int(matches.counts.sum()) == len(matches.cells)
        for image, row, label, weight in zip(matches.images, matches.xyxy, matches.classes, matches.weights, strict=True):
            target = targets[int(image)]
            place = target.xyxy.tolist().index(row.tolist())
            assert (int(label) + 1, float(weight)) == (int(target.classes[place]), float(target.weights[place]))

    def test_every_object_apart_from_others_has_a_cell(self) -> None:
        speck = made([[30.0, 30.0, 31.0, 31.0], [50.0, 2.0, 62.0, 12.0]], [1, 2])
        matches = loss.match(drawn(1), [speck])
        assert set(matches.classes.tolist()) == {0, 1}

    def test_an_object_beyond_the_image_matches_nothing(self) -> None:
        assert loss.match(drawn(1), [made([[500.0, 500.0, 510.0, 510.0]], [1])]).counts.tolist() == [0]


def one_match(cell: int, xyxy: list[float], *, label: int = 0, overlap: float = 1.0, weight: float = 1.0) -> Matches:
    """One cell of one image stands for an object, all others for background."""
    background = torch.ones(1, CELLS, dtype=torch.bool)
    background[0, cell] = False
    return Matches(
        images=torch.tensor([0]),
        cells=torch.tensor([cell]),
        xyxy=torch.tensor([xyxy]),
        classes=torch.tensor([label]),
        overlaps=torch.tensor([overlap]),
        weights=torch.tensor([weight]),
        counts=torch.tensor([1]),
        background=background,
    )


class TestTerms:
    """A cell of stride 16 at (16, 16) predicts the box (8, 8, 24, 24), one half for its classes and its objectness."""

    cell = cell_at(16, 1, 1)

    def test_box(self) -> None:
        half = one_match(self.cell, [8.0, 8.0, 24.0, 40.0])  # IoU 1/2
        assert loss.box_losses(unsure(), half).item() == pytest.approx(5 * (1 - 0.25))
        apart = one_match(self.cell, [40.0, 40.0, 50.0, 50.0], weight=0.5)
        assert loss.box_losses(unsure(), apart).item() == pytest.approx(2.5)

    def test_offset(self) -> None:
        """The object's centre is (24, 16), half a stride to the right, and it is twice as wide."""
        matches = one_match(self.cell, [8.0, 8.0, 40.0, 24.0], weight=0.5)
        assert loss.offset_losses(unsure(), matches).item() == pytest.approx((0.5 + LOG2) / 2)

    def test_class(self) -> None:
        """Against (0, .75, 0): at logits of 0 each class costs log 2; at 2 the object's class costs softplus(2) - 1.5."""
        said, matches = unsure(), one_match(self.cell, [8.0, 8.0, 24.0, 24.0], label=1, overlap=0.75)
        assert loss.class_losses(said, matches).item() == pytest.approx(3 * LOG2)
        said.classes[0, self.cell, 1] = 2
        wanted = 2 * LOG2 + F.softplus(torch.tensor(2.0)).item() - 2 * 0.75
        assert loss.class_losses(said, matches).item() == pytest.approx(wanted)

    def test_objectness(self) -> None:
        said, matches = unsure(), one_match(self.cell, [8.0, 8.0, 24.0, 24.0], weight=0.5)
        said.objectness[0, self.cell] = 3
        background = (CELLS - 1) * LOG2
        assert loss.objectness_losses(said, matches).item() == pytest.approx(background + F.softplus(torch.tensor(-3.0)).item() / 2)

    def test_expected_loss_is_the_entropy_of_the_most_foreground_cells(self) -> None:
        said = unsure()
        said.objectness[0] = -50
        said.objectness[0, :2] = 0  # two cells in doubt, each with an even chance that its three classes are in doubt as well
        each = LOG2 + 0.5 * 3 * LOG2
        assert loss.expected_losses(said, cells=2).item() == pytest.approx(2 * each)
        assert loss.expected_losses(said).item() == pytest.approx(2 * each)

    def test_all_that_is_learned_has_a_gradient(self) -> None:
        said = drawn(2)
        sum(loss.training_losses(said, [made(TWO, [1, 2]), made()]).values()).mean().backward()
        for leaf in (said.boxes, said.objectness, said.classes):
            assert leaf.grad is not None and leaf.grad.isfinite().all() and leaf.grad.abs().sum() > 0
        assert (said.boxes.grad[1] == 0).all() and (said.objectness.grad[1] > 0).all()  # without objects: background alone


class TestNormalization:
    targets = (made(TWO, [1, 2]), made(), made(TWO[:1], [3]))

    def test_training_losses_add_up_to_the_sum_per_matched_cell_of_the_batch(self) -> None:
        said = drawn(3)
        matches = loss.match(said, self.targets)
        losses = loss.training_losses(said, self.targets)
        assert losses.keys() == loss.TERMS.keys() == {"box", "offset", "objectness", "class"}
        for name, values in losses.items():
            wanted = loss.TERMS[name](said, matches).sum() / matches.counts.sum()
            torch.testing.assert_close(values.mean(), wanted)

    def test_an_images_loss_is_that_of_a_batch_of_one(self) -> None:
        said = drawn(3)
        together = loss.image_losses(said, self.targets)
        for image, target in enumerate(self.targets):
            alone = Predictions(*(part[[image]] for part in (said.boxes, said.objectness, said.classes)), said.cells)
            torch.testing.assert_close(loss.image_losses(alone, [target])[0], together[image])
            torch.testing.assert_close(sum(loss.training_losses(alone, [target]).values())[0], together[image])

    def test_an_image_without_objects_has_its_whole_objectness_loss(self) -> None:
        assert loss.image_losses(unsure(), [made()]).item() == pytest.approx(CELLS * LOG2)
        assert sum(loss.training_losses(unsure(2), [made(), made()]).values()).mean().item() == pytest.approx(2 * CELLS * LOG2)  # over 1


def background_gradient(said: Predictions, target: Target) -> Tensor:
    """Gradient of one image's losses by the objectness of every cell; [A], positive where background is taught."""
    objectness = said.objectness.detach().clone().requires_grad_()
    total = loss.image_losses(replace(said, objectness=objectness), [target]).sum()
    return torch.autograd.grad(total, objectness)[0][0]


class TestWhatIsNotTaught:
    def test_an_incomplete_image_teaches_its_objects_and_no_background(self) -> None:
        said = drawn(1)
        gradient = background_gradient(said, made(TWO, [1, 2], ignore=EVERYWHERE))
        matched = torch.zeros(CELLS, dtype=torch.bool).index_fill(0, loss.match(said, [made(TWO, [1, 2])]).cells, True)
        assert (gradient[matched] < 0).all() and (gradient[~matched] == 0).all()

    def test_an_incomplete_image_without_boxes_teaches_nothing(self) -> None:
        assert (background_gradient(drawn(1), made(ignore=EVERYWHERE)) == 0).all()

    def test_its_only_background_is_what_was_rejected(self) -> None:
        said = unsure()
        boxes = said.cells.decode(said.boxes[0])
        rejected = boxes[[cell_at(16, 1, 1)]]
        gradient = background_gradient(said, made(ignore=EVERYWHERE, background=rejected))
        assert torch.equal(gradient > 0, box_iou(rejected, boxes)[0] >= 0.5)
        assert int((gradient > 0).sum()) == 1

    def test_a_region_is_ignored_in_an_otherwise_complete_image(self) -> None:
        gradient = background_gradient(unsure(), made(ignore=[[0.0, 0.0, SIDE / 2, SIDE]]))
        centers = LEVELS.centers[:, 0]
        assert (gradient[centers < SIDE / 2] == 0).all()
        assert (gradient[(centers > SIDE / 2 + 8) & (LEVELS.strides == 8)] > 0).all()

    def test_a_cell_whose_box_lies_in_an_ignored_region_is_not_background(self) -> None:
        said, region = unsure(), torch.tensor([[0.0, 0.0, 16.0, 16.0]])
        outside = torch.tensor([cell_at(8, 6, 6)])
        said.boxes[0, outside] = LEVELS[outside].encode(region)
        gradient = background_gradient(said, made(ignore=region))
        assert gradient[outside] == 0 and gradient[cell_at(8, 7, 6)] > 0


class TestWeights:
    def test_scale_every_term_of_what_they_belong_to(self) -> None:
        said, apart = drawn(1), [[2.0, 2.0, 14.0, 14.0], [44.0, 44.0, 62.0, 62.0]]

        def losses(weights: list[float], rows: slice = slice(2)) -> Tensor:
            target = made(apart[rows], [1, 2][rows], weights=weights[rows], ignore=EVERYWHERE)
            matches = loss.match(said, [target])
            return torch.stack([term(said, matches) for term in loss.TERMS.values()])

        first, second = losses([1, 1], slice(1)), losses([1, 1], slice(1, 2))
        torch.testing.assert_close(losses([0.25, 0.5]), 0.25 * first + 0.5 * second)

    def test_change_neither_the_background_nor_the_counts(self) -> None:
        said, full, light = drawn(1), made(TWO, [1, 2]), made(TWO, [1, 2], weights=[0.01, 0.02])
        taught = [background_gradient(said, target).clamp(min=0) for target in (full, light)]
        assert torch.equal(*taught)
        assert torch.equal(*(loss.match(said, [target]).counts for target in (full, light)))

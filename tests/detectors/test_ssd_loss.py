"""The multibox loss against torchvision's own, and what it promises beyond it."""

import pytest
import torch
from made_targets import EVERYWHERE, made
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.ops import box_iou

from boxwise.detectors import ssd_loss
from boxwise.detectors.targets import Target

CLASSES = 4
SIDE = 64


class FlatLevels(torch.nn.Module):
    """Two feature levels by pooling: enough for torchvision's SSD to have anchors."""

    out_channels = (3, 3)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return {str(i): torch.nn.functional.avg_pool2d(images, stride) for i, stride in enumerate((8, 16))}


@pytest.fixture(scope="module")
def torchvision_ssd() -> SSD:
    return SSD(FlatLevels(), DefaultBoxGenerator([[2], [2, 3]], min_ratio=0.2), (SIDE, SIDE), CLASSES + 1)


@pytest.fixture(scope="module")
def anchors(torchvision_ssd: SSD) -> torch.Tensor:
    from torchvision.models.detection.image_list import ImageList

    images = torch.zeros(1, 3, SIDE, SIDE)
    return torchvision_ssd.anchor_generator(ImageList(images, [(SIDE, SIDE)]), list(FlatLevels()(images).values()))[0]


def random_target(generator: torch.Generator, count: int) -> Target:
    corner = torch.rand(count, 2, generator=generator) * SIDE * 0.7
    size = 3 + torch.rand(count, 2, generator=generator) * SIDE * 0.3
    return made(torch.cat([corner, corner + size], 1), torch.randint(1, CLASSES + 1, (count,), generator=generator))


def random_case(anchors: torch.Tensor, counts: list[int]) -> tuple[torch.Tensor, torch.Tensor, list[Target]]:
    generator = torch.Generator().manual_seed(3)
    deltas = torch.randn(len(counts), len(anchors), 4, generator=generator)
    logits = torch.randn(len(counts), len(anchors), CLASSES + 1, generator=generator) * 2
    return deltas, logits, [random_target(generator, count) for count in counts]


def torchvision_loss(ssd: SSD, anchors: torch.Tensor, deltas: torch.Tensor, logits: torch.Tensor, targets: list[Target]) -> dict:
    wanted = [{"boxes": t.xyxy, "labels": t.classes} for t in targets]
    none = torch.full((len(anchors),), -1)
    matched = [ssd.proposal_matcher(box_iou(t.xyxy, anchors)) if len(t.xyxy) else none for t in targets]
    return ssd.compute_loss(wanted, {"bbox_regression": deltas, "cls_logits": logits}, [anchors] * len(targets), matched)


@pytest.mark.parametrize(("counts", "floor"), [([3, 1, 7, 2], 3), ([2, 0, 5], 0), ([0, 0], 0)])
def test_equals_torchvision_on_a_batch(torchvision_ssd: SSD, anchors: torch.Tensor, counts: list[int], floor: int) -> None:
    deltas, logits, targets = random_case(anchors, counts)
    theirs = torchvision_loss(torchvision_ssd, anchors, deltas, logits, targets)
    matches = ssd_loss.match(anchors, targets)
    matched = max(1, int(matches.counts.sum()))
    torch.testing.assert_close(ssd_loss.box_losses(deltas, matches).sum() / matched, theirs["bbox_regression"], rtol=1e-5, atol=1e-5)
    mine = ssd_loss.class_losses(logits, matches, negative_floor=floor).sum() / matched
    torch.testing.assert_close(mine, theirs["classification"], rtol=1e-5, atol=1e-5)


def test_gradients_equal_torchvisions(torchvision_ssd: SSD, anchors: torch.Tensor) -> None:
    deltas, logits, targets = random_case(anchors, [3, 1, 7])
    gradients = []
    for ours in (True, False):
        leaves = [deltas.clone().requires_grad_(), logits.clone().requires_grad_()]
        if ours:
            matches = ssd_loss.match(anchors, targets)
            loss = (ssd_loss.box_losses(leaves[0], matches) + ssd_loss.class_losses(leaves[1], matches)).sum() / matches.counts.sum()
        else:
            loss = sum(torchvision_loss(torchvision_ssd, anchors, leaves[0], leaves[1], targets).values())
        gradients.append(torch.autograd.grad(loss, leaves))
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_every_object_has_its_best_default_box(anchors: torch.Tensor) -> None:
    speck = made([[30, 30, 31, 31]], [2])
    matches = ssd_loss.match(anchors, [speck])
    best = int(box_iou(speck.xyxy, anchors).argmax())
    assert matches.counts.tolist() == [1]
    assert matches.anchors.tolist() == [best]
    assert int(matches.classes[0, best]) == 2


def test_an_image_without_objects_teaches_background(anchors: torch.Tensor) -> None:
    logits = torch.zeros(1, len(anchors), CLASSES + 1, requires_grad=True)
    matches = ssd_loss.match(anchors, [made()])
    loss = ssd_loss.class_losses(logits, matches)
    assert loss.item() == pytest.approx(3 * torch.log(torch.tensor(CLASSES + 1.0)).item())
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert (gradient[..., 0] < 0).sum() == 3  # background is raised at three default boxes
    assert ssd_loss.class_losses(logits, matches, negative_floor=0).item() == 0


@pytest.mark.parametrize("empty", [0, 1, 8, 100])
def test_images_without_objects_do_not_raise_the_loss_of_a_batch(anchors: torch.Tensor, empty: int) -> None:
    """Where every default box has the same entropy, a match and its three negatives cost four of it, an empty image three."""
    targets = [made([[10, 10, 30, 30]], [1]), *(made() for _ in range(empty))]
    matches = ssd_loss.match(anchors, targets)
    logits = torch.zeros(len(targets), len(anchors), CLASSES + 1)
    loss = (ssd_loss.class_losses(logits, matches) * ssd_loss.share_of_matches(matches)).mean()
    matched, unit = int(matches.counts.sum()), torch.log(torch.tensor(CLASSES + 1.0)).item()
    assert loss.item() == pytest.approx((4 * matched + 3 * empty) / (matched + empty) * unit, rel=1e-5)


def test_images_that_teach_nothing_do_not_count(anchors: torch.Tensor) -> None:
    objects = made([[10, 10, 30, 30]], [1])
    alone, beside = (ssd_loss.match(anchors, [objects, *others]) for others in ([], [made(ignore=EVERYWHERE)] * 3))
    assert ssd_loss.share_of_matches(beside) == 4 * ssd_loss.share_of_matches(alone)


def test_an_image_full_of_matches_is_finite() -> None:
    anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    matches = ssd_loss.match(anchors, [made(anchors, [1])])
    logits = torch.zeros(1, 1, CLASSES + 1, requires_grad=True)
    loss = ssd_loss.class_losses(logits, matches)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.item() == pytest.approx(torch.log(torch.tensor(CLASSES + 1.0)).item())
    assert gradient.isfinite().all()


def test_expected_loss_is_the_entropy_of_the_most_foreground_boxes() -> None:
    logits = torch.full((1, 5, 3), 0.0)
    logits[0, 2:, 0] = 50.0  # three default boxes sure of background
    two = 2 * torch.log(torch.tensor(3.0)).item()
    assert ssd_loss.expected_losses(logits, anchors=2).item() == pytest.approx(two)
    assert ssd_loss.expected_losses(logits).item() == pytest.approx(two)


EVERY_OBJECT = [[8.0, 8.0, 40.0, 40.0], [20.0, 30.0, 60.0, 60.0]]


def class_gradient(anchors: torch.Tensor, target: Target, **options: int) -> torch.Tensor:
    """Gradient of one image's class loss by the background logit of every default box; [A], negative where background is taught."""
    logits = torch.zeros(1, len(anchors), CLASSES + 1, requires_grad=True)
    loss = ssd_loss.class_losses(logits, ssd_loss.match(anchors, [target]), **options).sum()
    return torch.autograd.grad(loss, logits)[0][0, :, 0]


class TestWhatIsNotTaught:
    def test_an_incomplete_image_teaches_its_objects_and_no_background(self, anchors: torch.Tensor) -> None:
        gradient = class_gradient(anchors, made(EVERY_OBJECT, [1, 2], ignore=EVERYWHERE))
        matched = ssd_loss.match(anchors, [made(EVERY_OBJECT, [1, 2])]).classes[0] > 0
        assert (gradient[matched] > 0).all()
        assert (gradient[~matched] == 0).all()

    def test_an_incomplete_image_without_boxes_teaches_nothing(self, anchors: torch.Tensor) -> None:
        assert (class_gradient(anchors, made(ignore=EVERYWHERE)) == 0).all()
        assert (class_gradient(anchors, made(ignore=EVERYWHERE), negative_floor=50) == 0).all()

    def test_its_only_background_is_what_was_rejected(self, anchors: torch.Tensor) -> None:
        rejected = torch.tensor(EVERY_OBJECT[:1])
        gradient = class_gradient(anchors, made(ignore=EVERYWHERE, background=rejected), negative_floor=len(anchors))
        assert torch.equal(gradient < 0, box_iou(rejected, anchors)[0] >= 0.5)
        assert (gradient < 0).any()
        assert (class_gradient(anchors, made(ignore=EVERYWHERE, background=rejected)) < 0).sum() == 3

    def test_a_region_is_ignored_in_an_otherwise_complete_image(self, anchors: torch.Tensor) -> None:
        left, everything = [[0.0, 0.0, SIDE / 2, SIDE]], len(anchors)
        gradient = class_gradient(anchors, made(ignore=left), negative_floor=everything)
        centres = (anchors[:, 0] + anchors[:, 2]) / 2
        narrow = anchors[:, 2] - anchors[:, 0] < SIDE / 4
        assert (gradient[narrow & (centres < SIDE / 2 - 1)] == 0).all()
        assert (gradient[narrow & (centres > SIDE / 2 + 1)] < 0).all()


class TestWeights:
    def test_scale_the_class_and_the_box_loss_of_what_they_belong_to(self, anchors: torch.Tensor) -> None:
        deltas, logits, _ = random_case(anchors, [2])

        def losses(weights: list[float], rows: slice = slice(2)) -> torch.Tensor:
            target = made(EVERY_OBJECT[rows], [1, 2][rows], weights=weights[rows], ignore=EVERYWHERE)
            matches = ssd_loss.match(anchors, [target])
            return torch.cat([ssd_loss.class_losses(logits, matches), ssd_loss.box_losses(deltas, matches)])

        # the two objects overlap too little to compete for a default box, so each can be measured alone
        first, second = losses([1, 1], slice(1)), losses([1, 1], slice(1, 2))
        torch.testing.assert_close(losses([0.25, 0.5]), 0.25 * first + 0.5 * second)

    def test_change_neither_the_background_nor_the_counts(self, anchors: torch.Tensor) -> None:
        full, light = made(EVERY_OBJECT, [1, 2]), made(EVERY_OBJECT, [1, 2], weights=[0.01, 0.02])
        taught = [class_gradient(anchors, target) for target in (full, light)]
        assert torch.equal(taught[0].clamp(max=0), taught[1].clamp(max=0))
        assert torch.equal(ssd_loss.match(anchors, [full]).counts, ssd_loss.match(anchors, [light]).counts)

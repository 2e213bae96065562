"""Mixture heads: likelihoods and variances worked out by hand, what is not taught, and what a view tells."""

import math

import numpy as np
import pytest
import torch
from made_targets import EVERYWHERE, made
from PIL import Image

from boxwise.config import DetectorConfig
from boxwise.detectors import ssd_loss
from boxwise.detectors.backbones import BackboneWeights
from boxwise.detectors.detector import TorchDetector, build_detector
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import image_batches
from boxwise.detectors.mixture_ssd import (
    COMPONENTS,
    LEAST_VARIANCE,
    Mixture,
    MixtureOutputs,
    MixtureSsdNetwork,
    box_losses,
    class_entropies,
)
from boxwise.detectors.names import DETECTORS, MIXTURE
from boxwise.detectors.network import Postprocessing
from boxwise.detectors.ssd import SsdNetwork
from boxwise.detectors.ssd_loss import Matches
from boxwise.detectors.tiny_ssd import tiny_ssd
from boxwise.errors import ConfigError
from boxwise.records import ImageRecord

SCRATCH = BackboneWeights(pretrained=False)
PIXELS = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
VALID = torch.full((2, 2), 64)
OBJECT = [[4.0, 4.0, 30.0, 40.0]]


@pytest.fixture(scope="module")
def network() -> SsdNetwork:
    torch.manual_seed(0)
    return DETECTORS["tiny_ssd_mixture"].build()(2, 64, SCRATCH).eval()


def outputs_of(network: SsdNetwork) -> MixtureOutputs:
    outputs = network(PIXELS, VALID)
    assert isinstance(outputs, MixtureOutputs)
    return outputs


def one_match(deltas: list[float], *, weight: float = 1.0) -> Matches:
    """One image of one default box, matched."""
    first, one = torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.int64)
    return Matches(one[None], torch.zeros(1, 1, dtype=torch.bool), first, first, torch.tensor([deltas]), torch.tensor([weight]), one)


def mixture(shares: list[float], means: list[float], variances: list[float], *, values: int = 4) -> Mixture:
    """One image, one default box: the components' shares, means and variances, the same for each of `values` values."""
    logits = ((torch.tensor(variances) - LEAST_VARIANCE) / (1 - LEAST_VARIANCE)).logit()
    columns = (torch.tensor(shares).log(), torch.tensor(means), logits)
    return Mixture(*(column[None, None, :, None].repeat(1, 1, 1, values) for column in columns))


def density(x: float, mean: float, variance: float) -> float:
    return math.exp(-((x - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


class TestMixture:
    def test_variances_are_those_of_the_law_of_total_variance(self) -> None:
        mix = mixture([0.2, 0.8], [1.0, -1.0], [0.5, 0.25], values=1)
        assert mix.averaged(mix.means).item() == pytest.approx(0.2 - 0.8)
        assert mix.aleatoric().item() == pytest.approx(0.2 * 0.5 + 0.8 * 0.25)
        assert mix.epistemic().item() == pytest.approx(0.2 * 1.6**2 + 0.8 * 0.4**2)

    def test_components_that_agree_have_no_epistemic_variance(self) -> None:
        assert mixture([0.3, 0.7], [2.0, 2.0], [0.1, 0.9]).epistemic().abs().max() < 1e-10

    def test_a_variance_has_a_floor(self) -> None:
        mix = Mixture(torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor([[-1e4]]))
        assert mix.variances.item() == pytest.approx(LEAST_VARIANCE)


class TestBoxLoss:
    def test_is_half_the_negative_log_likelihood_and_0_at_its_least(self) -> None:
        mix = mixture([0.25, 0.75], [0.0, 2.0], [0.5, 0.1])
        targets = [0.3, 1.8, -1.0, 2.0]
        likelihoods = [0.25 * density(x, 0.0, 0.5) + 0.75 * density(x, 2.0, 0.1) for x in targets]
        highest = density(0, 0, LEAST_VARIANCE)
        expected = sum(-math.log(likelihood / highest) for likelihood in likelihoods) / 2
        assert box_losses(mix, one_match(targets)).item() == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("distance", [0.0, 0.5, 3.0])
    def test_one_component_of_fixed_variance_is_a_squared_error(self, distance: float) -> None:
        def loss(by: float) -> float:
            return box_losses(mixture([1.0], [1.0], [0.5]), one_match([1.0 + by, 1.0, 1.0, 1.0])).item()

        assert loss(distance) - loss(0.0) == pytest.approx(distance**2 / (2 * 0.5) / 2, abs=1e-5)

    def test_is_never_negative(self) -> None:
        exact = mixture([0.5, 0.5], [0.0, 0.0], [LEAST_VARIANCE * 1.0001] * 2)
        assert box_losses(exact, one_match([0.0] * 4)).item() == pytest.approx(0, abs=1e-3)
        assert box_losses(mixture([0.5, 0.5], [0.0, 0.0], [0.9] * 2), one_match([0.0] * 4)).item() > 0

    def test_counts_by_the_weight_of_the_box(self) -> None:
        mix = mixture([1.0], [0.0], [0.5])
        full, light = (box_losses(mix, one_match([1.0] * 4, weight=weight)).item() for weight in (1.0, 0.25))
        assert light == pytest.approx(full / 4)

    @pytest.mark.parametrize("target", [0.0, 50.0, -1e4])
    @pytest.mark.parametrize("raw", [-1e4, 0.0, 1e4])
    def test_extreme_boxes_have_finite_gradients_that_point_home(self, target: float, raw: float) -> None:
        leaves = [torch.zeros(1, 1, COMPONENTS, 4), torch.ones(1, 1, COMPONENTS, 4), torch.full((1, 1, COMPONENTS, 4), raw)]
        for leaf in leaves:
            leaf.requires_grad_()
        loss = box_losses(Mixture(*leaves), one_match([target] * 4)).sum()
        gradients = torch.autograd.grad(loss, leaves)
        assert loss.isfinite() and all(gradient.isfinite().all() for gradient in gradients)
        assert (gradients[1].sign() == (1.0 - target) / abs(1.0 - target)).all()


class TestClassLoss:
    def test_is_the_cross_entropy_of_each_component_by_its_share(self) -> None:
        means = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]])
        classes = Mixture(torch.tensor([0.3, 0.7]).log()[None, None, :, None], means[None, None], torch.zeros(1, 1, 2, 3))
        noise = torch.tensor([[1.0, -1.0, 0.0], [0.5, 0.0, 2.0]])
        deviation = math.sqrt(LEAST_VARIANCE + (1 - LEAST_VARIANCE) / 2)
        expected = {False: 0.0, True: 0.0}
        for noisy in expected:
            for share, mean, draw in zip((0.3, 0.7), means.tolist(), noise.tolist(), strict=True):
                logits = [m + noisy * deviation * d for m, d in zip(mean, draw, strict=True)]
                expected[noisy] += share * (math.log(sum(map(math.exp, logits))) - logits[1])
        label = torch.tensor([[1]])
        assert class_entropies(classes, label).item() == pytest.approx(expected[False], rel=1e-5)
        assert class_entropies(classes, label, noise=noise[None, None]).item() == pytest.approx(expected[True], rel=1e-5)

    @pytest.mark.parametrize("raw", [-1e4, 1e4])
    def test_extreme_variances_have_finite_gradients(self, raw: float) -> None:
        spreads = torch.full((1, 1, 2, 3), raw, requires_grad=True)
        classes = Mixture(torch.zeros(1, 1, 2, 1), torch.full((1, 1, 2, 3), 1e3), spreads)
        loss = class_entropies(classes, torch.tensor([[0]]), noise=torch.ones(1, 1, 2, 3)).sum()
        assert torch.autograd.grad(loss, spreads)[0].isfinite().all()

    def test_the_hardest_negatives_are_those_of_the_drawn_logits(self) -> None:
        """Three background boxes of equal means count; the noise alone decides which."""
        anchors = torch.tensor([[8.0 * i, 0.0, 8.0 * i + 8, 8.0] for i in range(8)])
        matches = ssd_loss.match(anchors, [made()])
        means = torch.zeros(1, 8, 1, 2, requires_grad=True)
        noise = torch.zeros(1, 8, 1, 2)
        noise[0, [1, 4, 6], 0, 0] = -3.0  # drawn to be less of a background
        classes = Mixture(torch.zeros(1, 8, 1, 1), means, torch.zeros(1, 8, 1, 2))
        loss = ssd_loss.mined_losses(class_entropies(classes, matches.classes, noise=noise), matches).sum()
        taught = torch.autograd.grad(loss, means)[0][0, :, 0, 0] < 0
        assert taught.nonzero().flatten().tolist() == [1, 4, 6]


class TestNetwork:
    def test_an_image_in_which_nothing_may_be_taught_has_no_loss_and_no_gradient(self, network: SsdNetwork) -> None:
        network.zero_grad()
        terms = network.training_losses(outputs_of(network), [made(ignore=EVERYWHERE)] * 2)
        torch.stack(list(terms.values())).sum().backward()
        assert all(values.tolist() == [0, 0] for values in terms.values())
        assert all(p.grad is None or not p.grad.any() for p in network.parameters())

    def test_an_ignored_region_teaches_no_background(self, network: SsdNetwork) -> None:
        """Left half ignored: no gradient of the class means at default boxes that lie in it."""
        outputs = outputs_of(network)
        ignored = torch.tensor([[0.0, 0.0, 40.0, 64.0]])
        outputs.classes.means.retain_grad()
        network.training_losses(outputs, [made(ignore=ignored)] * 2)["class"].sum().backward()
        gradient = outputs.classes.means.grad.abs().sum((0, 2, 3))
        inside = (network.anchors[:, 2] <= 40) & (network.anchors[:, 0] >= 0)
        assert (gradient[inside] == 0).all() and (gradient > 0).any()

    def test_training_draws_noise_on_the_logits_and_measuring_does_not(self, network: SsdNetwork) -> None:
        targets = [made(OBJECT, [2])] * 2
        with torch.no_grad(), torch.random.fork_rng([]):
            outputs = outputs_of(network)
            drawn = []
            for seed in (1, 1, 2):
                torch.manual_seed(seed)
                drawn.append(network.training_losses(outputs, targets))
            fixed = [network.image_losses(outputs, targets) for _ in range(2)]
        assert torch.equal(drawn[0]["class"], drawn[1]["class"]) and not torch.equal(drawn[0]["class"], drawn[2]["class"])
        assert torch.equal(drawn[0]["box"], drawn[2]["box"]) and torch.equal(*fixed)

    def test_detections_are_read_off_the_averaged_mixtures(self, network: SsdNetwork) -> None:
        with torch.no_grad():
            outputs = outputs_of(network)
            found = network.detections(outputs, VALID, Postprocessing(0.0, 0.5, 5))[1]
        anchor = found.anchors[0]
        shares = outputs.classes.weights[1, anchor].softmax(0)
        expected = (shares * outputs.classes.means[1, anchor].softmax(-1)).sum(0)
        torch.testing.assert_close(found.probabilities[0], expected.roll(-1), rtol=1e-4, atol=1e-6)
        deltas = (outputs.boxes.weights[1, anchor].softmax(0) * outputs.boxes.means[1, anchor]).sum(0)
        place = ssd_loss.CODER.decode_single(deltas[None], network.anchors[anchor][None]).clamp(0, 64)
        torch.testing.assert_close(found.xyxy[:1], place, rtol=1e-4, atol=1e-3)

    def test_uncertainties_are_those_of_the_boxes_and_their_own_classes(self, network: SsdNetwork) -> None:
        with torch.no_grad():
            outputs = outputs_of(network)
            found = network.detections(outputs, VALID, Postprocessing(0.0, 0.5, 5))
            rows = network.mixture_uncertainties(outputs, found)
        assert len(rows) == len(found) == 2
        for image, row in enumerate(rows):
            assert row.shape == (len(found[image].scores), 4)
            anchor, own = int(found[image].anchors[2]), int(found[image].classes[2]) + 1
            shares, means, spreads = (t[image, anchor] for t in (outputs.classes.weights, outputs.classes.means, outputs.classes.spreads))
            shares, probabilities = shares[:, 0].softmax(0).tolist(), means.softmax(-1)[:, own].tolist()
            noise = [LEAST_VARIANCE + (1 - LEAST_VARIANCE) / (1 + math.exp(-x)) for x in spreads[:, own].tolist()]
            mean = sum(s * p for s, p in zip(shares, probabilities, strict=True))
            assert row[2, 0].item() == pytest.approx(sum(s * v for s, v in zip(shares, noise, strict=True)), rel=1e-4)
            assert row[2, 1].item() == pytest.approx(
                sum(s * (p - mean) ** 2 for s, p in zip(shares, probabilities, strict=True)), rel=1e-3, abs=1e-9
            )
            assert row[2, 2].item() == pytest.approx(outputs.boxes.aleatoric()[image, anchor].max().item())
            assert row[2, 3].item() == pytest.approx(outputs.boxes.epistemic()[image, anchor].max().item())

    @pytest.mark.parametrize(("name", "imgsz"), [("tiny_ssd_mixture", 64), ("ssdlite320_mobilenet_v2_mixture", 96)])
    def test_the_heads_hold_a_mixture_for_every_default_box(self, name: str, imgsz: int) -> None:
        network = DETECTORS[name].build()(3, imgsz, SCRATCH).eval()
        with torch.no_grad():
            outputs = network(torch.zeros(1, 3, imgsz, imgsz, dtype=torch.uint8), torch.full((1, 2), imgsz))
        count = len(network.anchors)
        assert outputs.boxes.means.shape == outputs.boxes.weights.shape == (1, count, COMPONENTS, 4)
        assert outputs.classes.means.shape == outputs.classes.spreads.shape == (1, count, COMPONENTS, 4)
        assert outputs.classes.weights.shape == (1, count, COMPONENTS, 1)
        assert (outputs.deltas.shape, outputs.logits.shape) == ((1, count, 4), (1, count, 4))

    def test_a_network_without_mixture_heads_refuses(self) -> None:
        plain = tiny_ssd(2, 64, SCRATCH).eval()
        assert MIXTURE not in plain.capabilities() and MIXTURE in MixtureSsdNetwork.capabilities()
        with pytest.raises(NotImplementedError):
            plain.mixture_uncertainties(plain(PIXELS, VALID), [])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRecord]:
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    records = []
    for number, (width, height) in enumerate(((80, 60), (50, 100))):
        path = folder / f"{number}.png"
        Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(path)
        records.append(ImageRecord(path.name, path, width, height))
    return records


class TestDetector:
    def detector(self, name: str = "tiny_ssd_mixture", **options: float) -> TorchDetector:
        config = DetectorConfig(name=name, imgsz=64, pretrained=False, **options)
        return build_detector(name, ("cat", "dog"), config, seed=0, device=torch.device("cpu"))

    def test_uncertainties_stand_beside_the_detections(self, images: list[ImageRecord]) -> None:
        detector = self.detector()
        (batch,) = image_batches(images, InputSpec(64), batch=2)
        view = detector.view(batch)
        before = torch.get_rng_state()
        rows, again = detector.mixture_uncertainties(view), detector.mixture_uncertainties(detector.view(batch))
        assert torch.equal(before, torch.get_rng_state())
        for each, same, boxes in zip(rows, again, detector.detections(view), strict=True):
            assert each.dtype == np.float32 and each.shape == (len(boxes), 4) and len(boxes) > 0
            assert np.isfinite(each).all() and (each > 0).all() and np.array_equal(each, same)

    def test_an_image_without_detections_has_none(self, images: list[ImageRecord]) -> None:
        detector = self.detector(score_threshold=0.999)
        (batch,) = image_batches(images, InputSpec(64), batch=2)
        assert [each.shape for each in detector.mixture_uncertainties(detector.view(batch))] == [(0, 4), (0, 4)]

    def test_a_plain_detector_refuses(self, images: list[ImageRecord]) -> None:
        detector = self.detector("tiny_ssd")
        (batch,) = image_batches(images, InputSpec(64), batch=2)
        with pytest.raises(ConfigError, match=r"tiny_ssd cannot be asked for mixture heads.*tiny_ssd_mixture"):
            detector.mixture_uncertainties(detector.view(batch))

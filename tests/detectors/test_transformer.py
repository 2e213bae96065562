"""The transformers behind the Network contract, from small random models: their criterion an image, ignored regions, first weights."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra [hf]")
from safetensors.torch import load_file, save_file
from small_transformers import IMGSZ, SMALL, released_once, small_transformer

from boxwise.config import DetectorConfig
from boxwise.detectors import transformer
from boxwise.detectors.detector import TorchDetector, build_detector
from boxwise.detectors.pretrained import source_of
from boxwise.detectors.targets import Target
from boxwise.detectors.transformer import drawn_by_weight
from boxwise.errors import BoxwiseError, ConfigError

CLASSES = ("dent", "airplane", "persons")
CPU = torch.device("cpu")
NOTHING = torch.zeros(0, 4)
EVERYWHERE = torch.tensor([[-torch.inf, -torch.inf, torch.inf, torch.inf]])


@pytest.fixture(autouse=True)
def _releases_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformer, "released", released_once)


def build(name: str, *, seed: int = 0) -> TorchDetector:
    config = DetectorConfig(name=name, imgsz=IMGSZ[name], weights=small_transformer(name))
    return build_detector(name, CLASSES, config, seed=seed, device=CPU)


def target(xyxy: list[list[float]], classes: list[int], *, ignore: torch.Tensor = NOTHING, background: torch.Tensor = NOTHING) -> Target:
    boxes = torch.tensor(xyxy).reshape(-1, 4)
    return Target(boxes, torch.tensor(classes, dtype=torch.int64), torch.ones(len(classes)), ignore, background)


def batch(name: str, images: int) -> tuple[torch.Tensor, torch.Tensor]:
    side = IMGSZ[name]
    pixels = torch.randint(0, 256, (images, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return pixels, torch.tensor([[side, side]] * images)


TARGETS = (target([[10, 10, 40, 50], [20, 30, 80, 90]], [1, 3]), target([], []), target([[5, 5, 60, 60]], [2]))
# The lightest is in the fast tier, as in tests/contracts/.
names = pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "rf_detr_base")) for name in SMALL])


@names
def test_an_images_loss_is_that_of_a_batch_of_one_and_the_packages_own(name):
    network, (pixels, valid) = build(name).network.eval(), batch(name, 3)
    with torch.inference_mode():
        together = network.image_losses(network(pixels, valid), TARGETS)
        alone = [network.image_losses(network(pixels[i : i + 1], valid[:1]), TARGETS[i : i + 1])[0] for i in range(3)]
        torch.testing.assert_close(together, torch.stack(alone), rtol=1e-4, atol=1e-5)
        if name != "rf_detr_base":  # whose criterion splits the queries into its training's groups in evaluation too
            given = (pixels[:1].float() - network.mean) / network.std
            own = network.model(given, labels=[network._label(TARGETS[0])]).loss
            torch.testing.assert_close(together[0], own)
    assert together.isfinite().all() and (together > 0).all()


@names
def test_the_training_loss_is_the_packages_own_over_the_batch(name):
    if name == "dfine_s":
        pytest.skip("its distillation is a mean over the queries of a batch, here of each image")
    network, (pixels, valid) = build(name).network.train(), batch(name, 3)
    torch.manual_seed(1)  # for the noise of the denoising queries
    mine = network.training_step(pixels, valid, TARGETS).terms["set"].mean()
    torch.manual_seed(1)
    theirs = network.model((pixels.float() - network.mean) / network.std, labels=[network._label(each) for each in TARGETS]).loss
    torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


@names
def test_an_incomplete_image_teaches_its_objects_and_no_background(name):
    """Its gradient reaches the classes of matched queries alone: raising every other logit costs nothing."""
    network, (pixels, valid) = build(name).network.eval(), batch(name, 1)
    objects = ([[10, 10, 40, 50], [20, 30, 80, 90]], [1, 3])
    part, whole, none = target(*objects, ignore=EVERYWHERE), target(*objects), target([], [], ignore=EVERYWHERE)

    def touched(one: Target) -> int:
        outputs = network(pixels, valid)
        outputs.criterion["logits"] = outputs.criterion["logits"].detach().requires_grad_()
        network.image_losses(outputs, [one]).sum().backward()
        gradient = outputs.criterion["logits"].grad
        return 0 if gradient is None else int((gradient[0].abs().sum(1) > 1e-9).sum())

    queries = network(pixels, valid).logits.shape[1]
    assert touched(whole) == queries
    assert touched(part) == 2
    assert touched(none) == 0
    verified = target([], [], ignore=EVERYWHERE, background=network._in_pixels(network(pixels, valid).boxes[0, :1]).detach())
    assert 1 <= touched(verified) < queries


@names
def test_a_box_counts_in_as_many_steps_as_its_weight_says_and_is_ignored_in_the_others(name):
    network, (pixels, valid) = build(name).network.train(), batch(name, 1)
    full = target([[10, 10, 40, 50], [20, 30, 80, 90]], [1, 3])
    light = replace(full, weights=torch.tensor([1.0, 0.3]))
    without = target([[10, 10, 40, 50]], [1], ignore=torch.tensor([[20.0, 30, 80, 90]]))

    def loss(one: Target, seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        if bool((one.weights == 1).all()):
            torch.rand(2)  # what the draw of `light` takes from the generator
        return network.training_step(pixels, valid, [one]).terms["set"].mean().detach()

    seen = [drawn(light, seed) for seed in range(400)]
    assert sum(len(one.classes) == 2 for one in seen) / len(seen) == pytest.approx(0.3, abs=0.07)
    assert all(one.classes[0] == 1 and bool((one.weights == 1).all()) for one in seen)
    for count, same in ((2, full), (1, without)):
        seed = next(seed for seed, one in enumerate(seen) if len(one.classes) == count)
        torch.testing.assert_close(loss(light, seed), loss(same, seed))


def drawn(one: Target, seed: int) -> Target:
    torch.manual_seed(seed)
    return drawn_by_weight(one)


@pytest.mark.slow
@names
def test_learns_one_object(name):
    network, (pixels, valid) = build(name).network.train(), batch(name, 2)
    optimizer = torch.optim.AdamW([{"params": g.parameters, "lr": 2e-3 * g.scale} for g in network.parameter_groups()])
    one = [target([[20, 20, 70, 70]], [1]), target([], [])]
    losses = []
    for step in range(40):
        torch.manual_seed(step)
        loss = network.training_step(pixels, valid, one).terms["set"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])


@names
def test_rows_of_known_classes_come_from_the_release_under_its_own_names_for_them(name):
    detector = build(name)
    assert detector.known == {1, 2}
    source = source_of(name, small_transformer(name))
    state, rows = source.state, source.rows
    assert rows == ("person", "airplane", "cat")
    heads = [key for key in state if key.startswith("model.class_embed") and key.endswith("weight")]
    assert heads
    for key in heads:
        mine = detector.network.state_dict()[key]
        torch.testing.assert_close(mine[[2, 1]], state[key][:2])
    assert not torch.equal(build(name, seed=1).network.state_dict()[heads[0]][0], detector.network.state_dict()[heads[0]][0])


@names
def test_a_folder_that_holds_something_else_is_one_message(name, tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    config = DetectorConfig(name=name, imgsz=IMGSZ[name], weights=tmp_path)
    with pytest.raises(BoxwiseError, match=f"cannot be loaded as a {name} .*Ways out: detector.weights=FOLDER"):
        build_detector(name, CLASSES, config, seed=0, device=CPU)


def test_a_folder_that_lacks_tensors_is_refused(tmp_path: Path):
    """The package would draw them at random, and the study begin with a detector that knows nothing."""
    file = shutil.copytree(small_transformer("rf_detr_base"), tmp_path / "folder") / "model.safetensors"
    known = load_file(file)
    save_file({name: known[name] for name in sorted(known)[1:]}, file, {"format": "pt"})
    with pytest.raises(BoxwiseError, match=r"cannot be loaded as a rf_detr_base \(it lacks 1 tensor, such as [\w.]+\)\. Ways out:"):
        released_once("rf_detr_base", file.parent)


def test_without_the_extra_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"detector dfine_s needs the package transformers: pip install 'boxwise\[hf\]'"):
        build_detector("dfine_s", CLASSES, DetectorConfig(name="dfine_s", pretrained="none"), seed=0, device=CPU)

import csv
import pickle

import numpy as np
import pytest
import torch
from blob_detector import BlobDetector, samples
from dark_scenes import HEIGHT, WIDTH, write_broken, write_image
from PIL import Image

from boxwise.config import VaeConfig
from boxwise.detectors.base import ImageBatch, View
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import image_batches
from boxwise.errors import BoxwiseError
from boxwise.scorers.reconstruction import Reconstruction, complexities, residuals, thumbnails
from boxwise.scorers.vae import load_vae, reconstruction_errors

TINY = VaeConfig(size=32, latent=4, width=4, steps=3, batch=4)


def scorer(*, corrected=False, resize="stretch", **changes) -> Reconstruction:
    return Reconstruction(TINY.model_copy(update=changes), corrected=corrected, spec=InputSpec(64, resize))


def view_of(records, resize="stretch") -> View:
    return View(next(iter(image_batches(records, InputSpec(64, resize), batch=len(records)))), None)


def fitted(records, **options) -> Reconstruction:
    made = scorer(**options)
    made.fit(samples(records), [], detector=BlobDetector(), rng=np.random.default_rng(0))
    return made


class TestFit:
    def test_writes_weights_curve_and_sheet(self, scenes, tmp_path):
        made, folder = scorer(), tmp_path / "round"
        figures = made.fit(samples(scenes), [], detector=BlobDetector(), rng=np.random.default_rng(0), folder=folder)
        with (folder / "vae_history.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert float(rows[-1]["reconstruction"]) == pytest.approx(figures["vae_reconstruction"])
        assert Image.open(folder / "reconstructions.png").size == (5 * 32, 6 * 32)
        small = thumbnails(view_of(scenes).batch, 32)
        saved = reconstruction_errors(load_vae(folder / "vae.pt", "cpu"), small)
        assert np.array_equal(saved, made.measure(BlobDetector(), view_of(scenes))["reconstruction"])

    def test_says_how_far_the_vae_is_and_is_pickled_without_the_listener(self, scenes):
        heard = []
        made = Reconstruction(TINY, corrected=False, spec=InputSpec(64), progress=lambda *progress: heard.append(progress))
        made.fit(samples(scenes), [], detector=BlobDetector(), rng=np.random.default_rng(0))
        assert [(step, steps) for step, steps, _ in heard][-1] == (TINY.steps, TINY.steps)
        assert all(set(figures) == {"reconstruction", "kl"} for *_, figures in heard)
        again = pickle.loads(pickle.dumps(made))
        assert np.array_equal(*(one.measure(BlobDetector(), view_of(scenes))["reconstruction"] for one in (made, again)))

    def test_one_image_is_enough_for_a_sheet(self, scenes, tmp_path):
        scorer().fit(samples(scenes[:1]), [], detector=BlobDetector(), rng=np.random.default_rng(0), folder=tmp_path / "round")
        assert Image.open(tmp_path / "round" / "reconstructions.png").size == (32, 6 * 32)

    @pytest.mark.parametrize(("train_on", "count"), [("labeled", 5), ("all", 12)])
    def test_looks_at_labelled_or_at_all_images(self, scenes, train_on, count):
        assert (
            scorer(train_on=train_on).fit(samples(scenes[:5]), scenes[5:], detector=BlobDetector(), rng=np.random.default_rng(0))[
                "vae_images"
            ]
            == count
        )

    def test_holds_no_more_than_max_images(self, scenes):
        assert scorer(max_images=7).fit(samples(scenes), [], detector=BlobDetector(), rng=np.random.default_rng(0))["vae_images"] == 7

    def test_leaves_an_unreadable_image_out(self, scenes, tmp_path):
        broken = write_broken(tmp_path, "broken.jpg")
        assert scorer().fit(samples([broken, *scenes]), [], detector=BlobDetector(), rng=np.random.default_rng(0))["vae_images"] == 12

    def test_says_so_when_nothing_can_be_read(self, tmp_path):
        with pytest.raises(BoxwiseError, match="found none among 1"):
            scorer().fit(samples([write_broken(tmp_path, "broken.jpg")]), [], detector=BlobDetector(), rng=np.random.default_rng(0))

    def test_cannot_measure_before(self, scenes):
        with pytest.raises(RuntimeError, match="before fit"):
            scorer().measure(BlobDetector(), view_of(scenes))


class TestThumbnails:
    @pytest.mark.parametrize("resize", ["stretch", "fit"])
    def test_training_sees_what_the_pool_pass_sees(self, scenes, resize):
        trained_on = scorer(resize=resize)._training_images(scenes, np.random.default_rng(0))
        assert np.array_equal(trained_on, thumbnails(view_of(scenes, resize).batch, 32).numpy())

    def test_padding_is_cut_off(self):
        pixels = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
        pixels[0, :, :48, :] = 200
        pixels[1, :, :, :32] = 200
        batch = ImageBatch((), pixels, torch.tensor([[48, 64], [64, 32]]))
        assert torch.equal(thumbnails(batch, 32), torch.full((2, 3, 32, 32), 200, dtype=torch.uint8))


class TestComplexity:
    def test_noise_costs_more_bits_than_faint_noise_and_that_more_than_nothing(self):
        noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 32, 32), np.uint8))
        bits = complexities(torch.stack([torch.full_like(noise, 90), noise // 64, noise]))
        assert bits[0] < bits[1] < bits[2]
        assert 24 < bits[2] < 27  # three incompressible bytes a pixel and the file's frame

    def test_residuals_are_those_of_the_least_squares_line(self):
        rng = np.random.default_rng(0)
        complexity = rng.uniform(2, 20, 40)
        errors = np.exp(-8 + 0.3 * complexity + rng.normal(0, 0.1, 40))
        slope, intercept = np.polyfit(complexity, np.log(errors), 1)
        assert residuals(errors, complexity) == pytest.approx(np.log(errors) - slope * complexity - intercept, abs=1e-9)

    @pytest.mark.parametrize("errors", [[0.1, 0.2, 0.4], [0.0, 0.0, 0.1], [0.3]])
    def test_constant_complexity_corrects_nothing(self, errors):
        logs = np.log(np.maximum(errors, 1e-12))
        assert residuals(np.array(errors), np.full(len(errors), 7.0)) == pytest.approx(logs - logs.mean())

    def test_the_corrected_score_is_the_residual_and_the_raw_one_the_error(self, scenes):
        terms = {"reconstruction": np.array([0.1, 0.5, 0.2]), "complexity": np.array([3.0, 9.0, 4.0])}
        corrected, raw = scorer(corrected=True).score("abc", terms), scorer().score("abc", terms)
        assert corrected.values == pytest.approx(residuals(terms["reconstruction"], terms["complexity"]))
        assert np.array_equal(raw.values, terms["reconstruction"])

    def test_bits_are_measured_only_when_they_are_used(self, scenes):
        assert set(fitted(scenes).measure(BlobDetector(), view_of(scenes))) == {"reconstruction"}
        assert set(fitted(scenes, corrected=True).measure(BlobDetector(), view_of(scenes))) == {"reconstruction", "complexity"}


@pytest.mark.slow
def test_an_unfamiliar_image_scores_highest(tmp_path):
    known = [write_image(tmp_path, f"{seed}.png", seed=seed) for seed in range(12)]
    strange = write_image(tmp_path, "strange.png", blob=(20, 20, WIDTH - 20, HEIGHT - 20))
    made = fitted(known, steps=150, width=8, lr=3e-3)
    measured = made.measure(BlobDetector(), view_of([*known, strange]))["reconstruction"]
    assert measured.argmax() == 12

"""Strategies by other embeddings than the round's detector's, in a study: made once an image, whatever is killed, added or lost."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from joining import join
from small_embedders import random_efficientnet, small_dino

from boxwise.artifacts.scored_pool import read_scored_pool
from boxwise.config import load_config
from boxwise.errors import BoxwiseError, ConfigError
from boxwise.records import Phase, Split
from boxwise.rounds import check
from boxwise.rounds.parts import Shard
from boxwise.study import Study

BY_BACKBONE = ("strategy.name=k_center", "scorer.name=none", "score_batch=4", "budget.val_per_round=1")


def config_of(tiny_overrides, *more):
    return load_config(None, (*tiny_overrides, *BY_BACKBONE, *more))


@pytest.fixture(scope="module")
def trained(hidden, tiny_overrides, tmp_path_factory):
    """A study by the detector's own embeddings, that is about to be scored."""
    annotator, dataset = hidden
    study = Study.create(tmp_path_factory.mktemp("trained") / "study", dataset, config=config_of(tiny_overrides))
    while study.position != (0, Phase.SCORE):
        if study.position[1] is Phase.ANNOTATE:
            study.answer(annotator)
        study.step()
    study.store.close()
    return study.folder


@pytest.fixture
def study_by(trained, tmp_path):
    """A function from settings to a study that is about to be scored under them."""

    def made(*settings, name="study"):
        study = Study.open(shutil.copytree(trained, tmp_path / name))
        study.change(load_config(trained / "config.yaml", settings))
        return study

    return made


def kept(study):
    """File name → bytes of what is kept of all embedders."""
    return {path.name: path.read_bytes() for path in sorted(study.folder.glob("embeddings/*/*.parquet"))}


def scored(study):
    study.step()
    assert study.position == (1, Phase.SELECT)
    return read_scored_pool(study.files(0))


@pytest.mark.slow
class TestStudy:
    def test_the_next_selection_goes_by_it_and_every_image_is_embedded_once(self, study_by, hidden):
        study = study_by("embedding.name=backbone")
        pool = scored(study)
        labeled = study.store.annotations(Split.TRAIN)
        assert len(pool.labeled_embeddings) == len(labeled) == 6
        assert pool.embeddings.shape == (len(pool.scores.image_ids), pool.labeled_embeddings.shape[1])
        before, items = kept(study), study.ask().items
        assert study.round(1).select.embedding == "backbone" and len(items) == 5
        while study.position != (1, Phase.SCORE):
            if study.position[1] is Phase.ANNOTATE:
                study.answer(hidden[0])
            study.step()
        study.step()
        again = read_scored_pool(study.files(1))
        assert kept(study) == before  # nothing was embedded a second time
        rows = dict(zip(pool.scores.image_ids, pool.embeddings, strict=True))
        for image_id, row in zip(again.scores.image_ids, again.embeddings, strict=True):
            assert np.array_equal(row, rows[image_id])

    def test_the_detectors_own_leaves_no_folder(self, study_by):
        study = study_by("embedding.name=detector")
        scored(study)
        assert not (study.folder / "embeddings").exists()

    def test_a_strategy_without_embeddings_costs_none(self, study_by):
        study = study_by("strategy.name=random", "embedding.name=backbone")
        scored(study)
        assert kept(study) == {}

    def test_near_duplicates_are_those_of_the_embedder(self, study_by):
        study = study_by("strategy.name=random", "strategy.duplicates=0.9", "embedding.name=vae")
        assert scored(study).embeddings.shape[1] == 8 and kept(study)

    def test_by_shards_and_after_a_kill_it_is_the_same_bit_for_bit(self, study_by, monkeypatch):
        monkeypatch.setattr("boxwise.artifacts.pool_parts._SMALLEST", 4)
        alone, many = study_by("embedding.name=backbone", name="alone"), study_by("embedding.name=backbone", name="many")
        scored(alone)
        many.inspect_shard(Shard(2, 3))

        def stop(event):
            if kept(many) != first:
                raise KeyboardInterrupt

        first = kept(many)
        with pytest.raises(KeyboardInterrupt):
            many.step(on_event=stop)
        assert len(first) < len(kept(many)) < len(kept(alone))
        many = Study.open(many.folder)
        scored(many)
        assert kept(many) == kept(alone)
        assert many.files(0).embeddings.read_bytes() == alone.files(0).embeddings.read_bytes()

    def test_images_that_join_are_added_and_those_that_went_are_no_hindrance(self, study_by, digits):
        study = study_by("embedding.name=backbone")
        scored(study)
        before = kept(study)
        gone = study.store.pool_ids()[0]
        study.exclude([gone], "blurred")
        joining = replace(digits.images[0], image_id="new.png", digest=None)
        join(study.store, [replace(joining, split=Split.TRAIN)])
        study.go_back(0, Phase.SCORE)
        pool = scored(study)
        assert "new.png" in pool.scores.image_ids and gone not in pool.scores.image_ids
        assert before.items() <= kept(study).items() and len(kept(study)) == len(before) + 1

    def test_images_that_are_taken_out_of_use_during_the_pass_end_nothing(self, study_by):
        study = study_by("embedding.name=backbone")
        left, gone = study.store.pool_ids()[:5], study.store.pool_ids()[5:]
        study.inspect_shard(Shard(1, 1))
        study.exclude(gone, "blurred")
        scored(study)
        assert gone and sorted(study.ask().image_ids) == left

    def test_a_damaged_file_is_made_again(self, study_by):
        study = study_by("embedding.name=backbone")
        first = scored(study).embeddings
        file = next(study.folder.glob("embeddings/*/*.parquet"))
        content = file.read_bytes()
        file.write_bytes(content[:-30])
        study.go_back(0, Phase.SCORE)
        assert np.array_equal(scored(study).embeddings, first)

    @pytest.mark.parametrize(
        ("package", "name", "weights"), [("timm", "efficientnet_lite0", random_efficientnet), ("transformers", "dinov2_small", small_dino)]
    )
    def test_networks_of_other_packages(self, study_by, package, name, weights):
        pytest.importorskip(package, reason="needs the extra [hf]")
        study = study_by(f"embedding.name={name}", f"embedding.{name}.weights={weights()}")
        assert np.isfinite(scored(study).embeddings).all() and kept(study)

    def test_an_image_that_is_gone_when_it_is_embedded_goes_out_of_use(self, study_by, digits_folder, tmp_path):
        study = study_by("embedding.name=backbone")
        study.relocate(shutil.copytree(digits_folder / "JPEGImages", tmp_path / "images"))  # the shared ones are other tests' as well
        lost = study.store.pool()[0]
        study.inspect_shard(Shard(1, 1))
        for path in study.folder.glob("embeddings/*/*.parquet"):
            path.unlink()
        study.store.close()
        study = Study.open(study.folder)
        Path(lost.uri).unlink()
        scored(study)
        assert lost.image_id in study.store.quarantined() and lost.image_id not in study.store.pool_ids()
        assert len(study.ask().items) == 5


class TestRefusals:
    def test_names(self, tiny_overrides):
        with pytest.raises(ConfigError, match=r"Unknown embedding 'dinov2'\. Did you mean 'dinov2_small'\? Known: .*efficientnet_lite0"):
            check(config_of(tiny_overrides, "embedding.name=dinov2"), ("a",))
        with pytest.raises(ConfigError, match=r"Unknown cold_start\.embedding 'vea'\. Did you mean 'vae'"):
            check(config_of(tiny_overrides, "cold_start.embedding=vea"), ("a",))
        with pytest.raises(ConfigError, match=r"Unknown cold_start\.embedding 'detector'.*need a trained detector, and round 0 has none"):
            check(config_of(tiny_overrides, "cold_start.embedding=detector"), ("a",))

    def test_a_missing_package_and_a_missing_file(self, tiny_overrides, monkeypatch):
        with pytest.raises(ConfigError, match=r"embedding\.efficientnet_lite0\.weights=absent\.pth: no such file"):
            monkeypatch.setattr("boxwise.embedders.names.find_spec", lambda name: object())
            check(config_of(tiny_overrides, "embedding.name=efficientnet_lite0", "embedding.efficientnet_lite0.weights=absent.pth"), ("a",))
        monkeypatch.setattr("boxwise.embedders.names.find_spec", lambda name: None)
        with pytest.raises(ConfigError, match=r"embedder dinov2_small needs the package transformers: pip install 'boxwise\[hf\]'"):
            check(config_of(tiny_overrides, "cold_start.name=k_center", "cold_start.embedding=dinov2_small"), ("a",))

    def test_weights_that_do_not_fit_are_found_before_anyone_is_asked(self, hidden, tiny_overrides, tmp_path):
        pytest.importorskip("timm", reason="needs the extra [hf]")
        (tmp_path / "none.pth").write_bytes(b"no weights")
        weights = ("embedding.name=efficientnet_lite0", f"embedding.efficientnet_lite0.weights={tmp_path / 'none.pth'}")
        study = Study.create(tmp_path / "study", hidden[1], config=config_of(tiny_overrides, *weights))
        with pytest.raises(BoxwiseError, match=r"none\.pth: expected the weights of tf_efficientnet_lite0"):
            study.ask()
        assert study.position == (0, Phase.SELECT)

    def test_so_are_they_when_it_is_changed(self, waiting_study, tmp_path):
        pytest.importorskip("timm", reason="needs the extra [hf]")
        (tmp_path / "none.pth").write_bytes(b"no weights")
        study = waiting_study("full")
        weights = (
            f"embedding.efficientnet_lite0.weights={tmp_path / 'none.pth'}",
            "embedding.name=efficientnet_lite0",
            "strategy.name=k_center",
        )
        with pytest.raises(BoxwiseError, match=r"none\.pth"):
            study.change(load_config(study.folder / "config.yaml", weights))
        assert study.config.embedding.name == "detector"

    def test_and_when_another_strategy_asks_for_them(self, waiting_study, tmp_path):
        pytest.importorskip("timm", reason="needs the extra [hf]")
        (tmp_path / "none.pth").write_bytes(b"no weights")
        study = waiting_study("full")
        weights = (f"embedding.efficientnet_lite0.weights={tmp_path / 'none.pth'}", "embedding.name=efficientnet_lite0")
        study.change(load_config(study.folder / "config.yaml", ("strategy.name=random", *weights)))
        with pytest.raises(BoxwiseError, match=r"none\.pth"):
            study.change(load_config(study.folder / "config.yaml", ["strategy.name=k_center"]))
        assert study.config.strategy.name == "random"


def test_a_config_from_before_the_embedders_has_the_detectors_own(tiny_overrides, tmp_path):
    config = config_of(tiny_overrides)
    assert config.embedding.name == "detector" and config.cold_start.embedding == "backbone"

"""The pool pass by shards: equal to the pass of one process byte by byte, whatever was killed, lost or damaged on the way."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import processes
import pytest
import torch

from boxwise.artifacts import pool_parts
from boxwise.artifacts.scored_pool import read_scores
from boxwise.config import load_config
from boxwise.detectors.weights_file import note
from boxwise.errors import BoxwiseError, StudyError
from boxwise.records import Phase
from boxwise.rounds import parts
from boxwise.study import Study

RESULTS = ("scores.parquet", "detections.parquet", "embeddings.npz", "boxes.npz")


@pytest.fixture(scope="module")
def trained(hidden, tiny_overrides, tmp_path_factory):
    """Folder of a study whose next step is to score its pool in parts of four images."""
    annotator, dataset = hidden
    overrides = ("score_batch=4", "strategy.name=pal", "scorer.name=pal", "budget.val_per_round=1")
    study = Study.create(tmp_path_factory.mktemp("trained") / "study", dataset, config=load_config(None, (*tiny_overrides, *overrides)))
    while study.position != (0, Phase.SCORE):
        if study.position[1] is Phase.ANNOTATE:
            study.answer(annotator)
        study.step()
    study.store.close()
    return study.folder


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(pool_parts, "_SMALLEST", 4)


@pytest.fixture
def study(trained, tmp_path):
    return Study.open(shutil.copytree(trained, tmp_path / "study"))


def results(study):
    assert study.position == (1, Phase.SELECT)
    assert not study.files(0).pool_pass.exists()
    folder = study.files(0).path
    return {name: (folder / name).read_bytes() for name in RESULTS if (folder / name).exists()}


@pytest.fixture(scope="module")
def in_one(trained, tmp_path_factory):
    """What the pass leaves in one process, in parts of 128 images."""
    study = Study.open(shutil.copytree(trained, tmp_path_factory.mktemp("in_one") / "study"))
    study.step()
    return results(study)


def facts_of(study):
    return {key: value for key, value in study.store.facts()[0]["score"].items() if key not in ("seconds", "images_per_second")}


@pytest.mark.slow
class TestShards:
    @pytest.mark.parametrize("count", [1, 3, 12])
    def test_any_number_of_shards_in_any_order_leaves_the_same_bytes(self, study, in_one, count):
        for number in reversed(range(1, count + 1)):
            study.inspect_shard(parts.Shard(number, count))
        inspected = []
        study.step(on_event=lambda event: inspected.append(event) if event.step else None)
        assert results(study) == in_one
        assert not inspected  # the last step only joins

    def test_what_other_processes_spent_counts(self, study):
        study.inspect_shard(parts.Shard(1, 1))
        pass_ = parts.begun(study._context(None, None), 0, study._context(None, None).load(0))
        plan = pass_.plan.folder / "plan.json"
        plan.write_text(json.dumps(json.loads(plan.read_text()) | {"seconds": 100}))
        first, second, *_ = pass_.plan.parts
        first.found()[0].unlink()  # which this process inspects
        (whole,) = second.found()
        part = second.read()
        whole.unlink()
        second.write(replace(part, seconds=1000))
        study.step()
        facts = study.round(0).score
        assert 1100 < facts.seconds < 1100 + 60 and facts.images_per_second == pytest.approx(facts.pool / facts.seconds)

    def test_shards_of_another_number_serve_as_well(self, study, in_one):
        study.inspect_shard(parts.Shard(2, 3))
        before = {path.name: path.stat().st_mtime_ns for path in study.files(0).pool_pass.glob("part_*")}
        study.inspect_shard(parts.Shard(1, 1))
        after = {path.name: path.stat().st_mtime_ns for path in study.files(0).pool_pass.glob("part_*")}
        assert before and before.items() <= after.items()
        study.step()
        assert results(study) == in_one

    def test_lost_and_damaged_parts_are_named_and_done_again(self, study, in_one):
        study.inspect_shard(parts.Shard(1, 1))
        files = sorted(study.files(0).pool_pass.glob("part_*"))
        files[1].unlink()
        files[3].write_bytes(files[3].read_bytes()[:-7])
        said = []
        study.step(on_event=lambda event: said.append(event.message) if event.message else None)
        assert len(said) == 2 and "damaged part 3 of" in said[0] and f"part 1 of {len(files)} not there yet" in said[1]
        assert results(study) == in_one

    @pytest.mark.parametrize("file", ["plan.json", "images.parquet", "scorer.pt"])
    @pytest.mark.parametrize("harm", ["lost", "damaged"])
    def test_what_the_shards_share_may_be_lost_or_damaged(self, study, in_one, file, harm):
        study.inspect_shard(parts.Shard(1, 2))
        path = study.files(0).pool_pass / file
        path.unlink() if harm == "lost" else path.write_bytes(path.read_bytes()[:20])
        study.inspect_shard(parts.Shard(2, 2))
        study.step()
        assert results(study) == in_one

    def test_a_label_given_meanwhile_changes_nothing(self, study, in_one, hidden):
        study.inspect_shard(parts.Shard(1, 2))
        image = study.pool()[0].image_id
        study.tell(image, [], annotator="someone")
        study.inspect_shard(parts.Shard(2, 2))
        study.step()
        found = results(study)
        assert {name: found[name] for name in ("scores.parquet", "detections.parquet")} == {
            name: in_one[name] for name in ("scores.parquet", "detections.parquet")
        }

    def test_an_image_that_joins_the_pool_meanwhile_is_scored_too(self, study, in_one):
        image = study.pool()[5].image_id
        study.exclude([image], "not there for a while")
        study.inspect_shard(parts.Shard(1, 2))
        study.include([image])
        study.inspect_shard(parts.Shard(2, 2))
        study.step()
        assert image in read_scores(study.files(0).scores).image_ids
        assert results(study) == in_one

    def test_a_study_whose_images_move_meanwhile_goes_on(self, study, in_one, tmp_path):
        study.inspect_shard(parts.Shard(1, 2))
        first = study.pool()[0]
        folder = Path(first.uri).parents[len(first.image_id.split("/")) - 1]
        study.relocate(shutil.copytree(folder, tmp_path / "moved"))
        context = study._context(None, None)
        assert all(image.uri.startswith(str(tmp_path)) for image in parts.begun(context, 0, context.load(0)).plan.images)
        study.step()
        assert results(study) == in_one

    def test_another_config_begins_anew(self, study):
        study.inspect_shard(parts.Shard(1, 1))
        key = {path.name.split("-")[1] for path in study.files(0).pool_pass.glob("part_*")}
        study.change(study.config.model_copy(update={"scorer": study.config.scorer.model_copy(update={"name": "uncertainty"})}))
        study.inspect_shard(parts.Shard(1, 1))
        anew = {path.name.split("-")[1] for path in study.files(0).pool_pass.glob("part_*")}
        assert len(key) == len(anew) == 1 and anew != key

    def test_what_is_noted_of_the_weights_changes_no_pass_and_other_weights_are_said(self, study):
        study.inspect_shard(parts.Shard(1, 1))
        files, said = study.files(0), []
        before = sorted(files.pool_pass.glob("part_*"))
        note(files.weights, {"val": {"ap": 0.123}})
        context = study._context(None, lambda event: said.append(event.message))
        parts.begun(context, 0, context.load(0))
        assert sorted(files.pool_pass.glob("part_*")) == before and not said
        contents = torch.load(files.weights, weights_only=True)
        next(iter(contents["network"].values())).add_(1)
        torch.save(contents, files.weights)
        parts.begun(context, 0, context.load(0))
        assert not list(files.pool_pass.glob("part_*"))
        assert said == [f"the pool pass in {files.pool_pass} is begun anew: weights changed since it was begun"]

    def test_a_training_that_is_done_again_leaves_no_graph_of_the_one_before(self, study):
        files = study.files(0)
        files.forward("0123456789abcdef").write_bytes(b"a graph")
        study.go_back(0, Phase.TRAIN)
        study.step()
        assert files.weights.exists() and not files.forwards()

    def test_another_version_or_device_is_refused_while_parts_are_missing(self, study, in_one):
        study.inspect_shard(parts.Shard(1, 2))
        plan = study.files(0).pool_pass / "plan.json"
        written = json.loads(plan.read_text())
        plan.write_text(json.dumps(written | {"machine": {"boxwise": "0.0.9", "torch": "1.0", "device": "cuda"}}))
        with pytest.raises(StudyError, match=r"begun with boxwise 0\.0\.9 and torch 1\.0 on cuda, here is boxwise .* parts are missing"):
            study.inspect_shard(parts.Shard(2, 2))
        plan.write_text(json.dumps(written))
        study.step()
        assert results(study) == in_one

    def test_a_shard_that_comes_too_late_leaves_nothing(self, study, monkeypatch):
        study.inspect_shard(parts.Shard(1, 2))
        late = parts.begun(study._context(None, None), 0, study._context(None, None).load(0))
        Study.open(study.folder).step()
        with pytest.raises(StudyError, match="joined meanwhile"):
            late.inspect()
        with pytest.raises(StudyError, match="joined meanwhile"):  # of one that had yet to begin
            parts.begun(study._context(None, None), 0, study._context(None, None).load(0))
        assert not study.files(0).pool_pass.exists()
        with pytest.raises(StudyError, match="the next step is select of round 1, not score"):
            study.inspect_shard(parts.Shard(1, 2))

    def test_an_edited_config_is_taken_in_before_shards(self, study):
        config = study.folder / "config.yaml"
        config.write_text(config.read_text().replace("score_batch: 4", "score_batch: 8"))
        with pytest.raises(StudyError, match="boxwise set"):
            study.inspect_shard(parts.Shard(1, 2))


@pytest.mark.parametrize(("parts_", "count"), [(0, 3), (1, 4), (10, 3), (64, 64), (7, 100)])
def test_shards_share_all_parts_once(parts_, count):
    shares = [list(parts.Shard(number, count).of(parts_)) for number in range(1, count + 1)]
    assert [part for share in shares for part in share] == list(range(parts_))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "a/b", "1/2/3", "-1/2"])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(BoxwiseError, match="NUMBER/COUNT"):
        parts.Shard.parse(text)


@pytest.mark.parametrize(
    ("images", "batch", "size"), [(0, 16, 128), (1000, 16, 128), (1000, 48, 144), (1_000_000, 16, 976), (10**8, 16, 4096)]
)
def test_parts_are_few_and_of_whole_batches(images, batch, size, monkeypatch):
    monkeypatch.setattr(pool_parts, "_SMALLEST", 128)
    assert pool_parts.part_size(images, batch) == size


@pytest.mark.slow
def test_processes_that_start_together_and_one_that_is_killed(hidden, tiny_overrides, tmp_path, monkeypatch):
    """Two shards begin the same pass at once; one is killed in the middle. The join does the rest."""
    monkeypatch.setattr(pool_parts, "_SMALLEST", 128)
    annotator, dataset = hidden
    pool = [image for image in dataset.images if image.image_id not in dataset.labels]
    copies = [replace(image, image_id=f"{image.image_id}.{copy}") for copy in range(1 + 400 // len(pool)) for image in pool]
    many = replace(dataset, images=(*dataset.images, *copies))
    study = Study.create(tmp_path / "study", many, config=load_config(None, (*tiny_overrides, "threads=1")))
    for item in study.ask().items:
        study.tell(item.image_id, *annotator.annotate(replace(item, image_id=item.image_id.partition(".png")[0] + ".png"))[:1])
    while study.position != (0, Phase.SCORE):
        study.step()
    study.store.close()
    folder, alone = study.folder, shutil.copytree(study.folder, tmp_path / "alone")
    first, second = (processes.start("-m", "boxwise", "score", folder, "--shard", f"{number}/2") for number in (1, 2))
    deadline = monotonic() + 120
    while not list((folder / "rounds/round_00/pool_pass").glob("part_*")):
        assert monotonic() < deadline and first.is_alive()
        sleep(0.01)
    first.kill()
    first.join()
    second.join(timeout=120)
    assert second.exitcode == 0 and first.exitcode == -signal.SIGKILL
    left = len(list((folder / "rounds/round_00/pool_pass").glob("part_*")))
    said, joined, in_row = [], Study.open(folder), Study.open(alone)
    joined.step(on_event=lambda event: said.append(event.message) if event.message else None)
    in_row.step()
    assert left < 5 and "not there yet: inspected now" in said[0]
    assert results(joined) == results(in_row)


@pytest.mark.slow
def test_scored_by_onnx_runtime_the_picks_are_those_of_torch(trained, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
    pytest.importorskip("onnxscript", reason="needs the extra [onnx]")
    found = {}
    for device in ("cpu", "onnx"):
        study = Study.open(shutil.copytree(trained, tmp_path / device))
        scorer = load_config(None, ("scorer.name=dual", "scorer.vae.size=32", "scorer.vae.steps=6", "scorer.vae.width=4")).scorer
        strategy = study.config.strategy.model_copy(update={"name": "score_then_diversity"})
        study.change(study.config.model_copy(update={"device": device, "scorer": scorer, "strategy": strategy}))
        study.step()
        assert not study.files(0).forwards()
        found[device] = read_scores(study.files(0).scores), study.ask().image_ids
    assert found["onnx"][1] == found["cpu"][1]
    by_torch, by_onnx = found["cpu"][0], found["onnx"][0]
    assert by_torch.image_ids == by_onnx.image_ids and by_torch.terms.keys() >= {"L_rec", "L_det", "expected", "reconstruction"}
    np.testing.assert_allclose(by_onnx.values, by_torch.values, atol=1e-4)
    for term, values in by_torch.terms.items():
        np.testing.assert_allclose(by_onnx.terms[term], values, rtol=1e-4, atol=1e-4)

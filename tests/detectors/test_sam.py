"""SAM 2 with small random weights: boxes are those of the package's own masks, and an image is embedded once for all prompts."""

import re
import shutil

import numpy as np
import pytest
import torch
from scipy.ndimage import find_objects, label

from boxwise.errors import BoxwiseError

pytest.importorskip("transformers", reason="install the extra [hf]")
from safetensors.torch import load_file, save_file
from small_transformers import small_sam2

from boxwise.detectors import hub
from boxwise.detectors.sam import Sam, _extent

HEIGHT, WIDTH = 96, 160


@pytest.fixture(scope="module")
def sam():
    return Sam(small_sam2(), device=torch.device("cpu"))


@pytest.fixture(scope="module")
def pixels():
    return torch.from_numpy(np.random.default_rng(3).integers(0, 255, (3, HEIGHT, WIDTH), dtype=np.uint8))


def by_the_package(pixels, **prompt):
    """The mask of highest predicted IoU, bool [H, W] of the image, by the package's own processor and postprocessing."""
    from transformers import Sam2ImageProcessor, Sam2Model, Sam2Processor

    processor = Sam2Processor(Sam2ImageProcessor(size={"height": 128, "width": 128}, mask_size={"height": 32, "width": 32}))
    inputs = processor(images=pixels, return_tensors="pt", **prompt)
    with torch.inference_mode():
        found = Sam2Model.from_pretrained(small_sam2()).eval()(**inputs, multimask_output=True)
    (masks,) = processor.post_process_masks(found.pred_masks, inputs["original_sizes"])
    return masks[0, int(found.iou_scores[0, 0].argmax())].numpy(), float(found.iou_scores.max())


@pytest.mark.parametrize("point", [(80.0, 48.0), (20.0, 70.0), (150.0, 10.0)])
def test_a_clicks_box_is_the_extent_of_the_packages_mask(sam, pixels, point):
    mask, score = by_the_package(pixels, input_points=[[[list(point)]]], input_labels=[[[1]]])
    found = sam.box(sam.embed(pixels), point=point)
    assert found is not None and mask.any()
    (x1, y1, x2, y2), said = found
    parts, _ = label(mask)
    part = parts[int(point[1]), int(point[0])] or np.bincount(parts.ravel())[1:].argmax() + 1
    rows, columns = find_objects(parts)[part - 1]
    assert said == pytest.approx(score, abs=1e-4)
    assert (x1, y1, x2, y2) == pytest.approx((columns.start, rows.start, columns.stop, rows.stop), abs=3)  # two pixels of its mask
    assert 0 <= x1 < x2 <= WIDTH and 0 <= y1 < y2 <= HEIGHT


def test_a_rough_box_is_a_prompt_too(sam, pixels):
    mask, score = by_the_package(pixels, input_boxes=[[[30, 20, 90, 70]]])
    found = sam.box(sam.embed(pixels), rough=(30, 20, 90, 70))
    assert found is not None and mask.any() and found[1] == pytest.approx(score, abs=1e-4)


def test_prompts_do_not_change_the_embedding(sam, pixels):
    image = sam.embed(pixels)
    before = [feature.clone() for feature in image.features]
    first = sam.box(image, point=(50, 50))
    sam.box(image, point=(10, 10))
    assert sam.box(image, point=(50, 50)) == first
    assert all(torch.equal(a, b) for a, b in zip(before, image.features, strict=True))


def test_of_a_mask_in_parts_the_one_under_the_click_counts():
    mask = np.zeros((10, 20), bool)
    mask[1:3, 1:4] = mask[5:9, 10:20] = True
    assert _extent(mask, (0.1, 0.15)) == (1 / 20, 1 / 10, 4 / 20, 3 / 10)
    assert _extent(mask, None) == _extent(mask, (0.99, 0.01)) == (10 / 20, 5 / 10, 1, 9 / 10)
    assert _extent(np.zeros((4, 4), bool), (0.5, 0.5)) is None


def test_weights_that_are_none_are_refused_by_name(tmp_path):
    with pytest.raises(BoxwiseError, match=f"{tmp_path}: cannot be loaded as a SAM 2"):
        Sam(tmp_path, device=torch.device("cpu"))


def test_weights_that_lack_tensors_are_refused(tmp_path):
    """The package would draw them at random."""
    file = shutil.copytree(small_sam2(), tmp_path / "folder") / "model.safetensors"
    known = load_file(file)
    lost = min(known)
    save_file({name: tensor for name, tensor in known.items() if name != lost}, file, {"format": "pt"})
    with pytest.raises(BoxwiseError, match=rf"cannot be loaded as a SAM 2 \(it lacks 1 tensor, such as {re.escape(lost)}\)"):
        Sam(file.parent, device=torch.device("cpu"))


def test_an_error_without_words_is_called_by_its_kind():
    with (
        pytest.raises(BoxwiseError, match=r"^labelling\.sam2=x: cannot be loaded as a SAM 2 \(TimeoutError\)\. Give a folder\.$"),
        hub.loading("labelling.sam2=x", "SAM 2", ways_out="Give a folder."),
    ):
        raise TimeoutError

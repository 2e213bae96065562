"""Decoding and batching of real image files."""

import gc
import re
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from boxwise.detectors.decoding import decode
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import ahead, image_batches, in_order, resized, stacked, to_device
from boxwise.errors import ImageStoreError, StudyError
from boxwise.records import ImageRecord


def painting(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """A smooth colour picture, as JPEG likes it."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 255, (4, 5, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.BICUBIC)


def record(path: Path) -> ImageRecord:
    return ImageRecord(path.name, path, 64, 48)


def save_all(folder: Path, count: int, *, size: tuple[int, int] = (64, 48)) -> list[ImageRecord]:
    for number in range(count):
        painting(*size, seed=number).save(folder / f"{number:04}.jpg", quality=90)
    return [record(folder / f"{number:04}.jpg") for number in range(count)]


class TestSizes:
    @pytest.mark.parametrize(
        ("height", "width", "resize", "expected"),
        [(480, 640, "stretch", (96, 96)), (480, 640, "fit", (72, 96)), (640, 480, "fit", (96, 72)), (1, 4000, "fit", (1, 96))],
    )
    def test_input_size(self, height, width, resize, expected):
        assert InputSpec(96, resize).size(height, width) == expected

    def test_resizing_is_antialiased(self):
        stripes = torch.zeros(3, 64, 64, dtype=torch.uint8)
        stripes[:, :, ::2] = 200
        small = resized(stripes, InputSpec(16))
        assert small.dtype == torch.uint8
        assert (small[:, 2:-2, 2:-2].int() - 100).abs().max() <= 4

    def test_fit_pads_bottom_right_with_zeros_to_a_common_multiple_of_32(self):
        images = [torch.full((3, 40, 70), 9, dtype=torch.uint8), torch.full((3, 65, 30), 9, dtype=torch.uint8)]
        pixels, valid = stacked(images, InputSpec(96, "fit"))
        assert pixels.shape == (2, 3, 96, 96)
        assert valid.tolist() == [[40, 70], [65, 30]]
        assert (pixels[0, :, :40, :70] == 9).all()
        assert pixels.sum() == 9 * 3 * (40 * 70 + 65 * 30)


class TestImageBatches:
    @pytest.mark.parametrize("workers", [0, 2])
    def test_keeps_the_order_and_reports_what_cannot_be_read(self, tmp_path, workers):
        records = save_all(tmp_path, 7)
        (tmp_path / "0002.jpg").write_bytes(b"\xff\xd8\xff broken")
        unreadable: dict[str, str] = {}
        batches = list(image_batches(records, InputSpec(32), batch=3, workers=workers, on_unreadable=unreadable.__setitem__))
        assert [r.image_id for b in batches for r in b.records] == [r.image_id for r in records if r.image_id != "0002.jpg"]
        assert [len(b.records) for b in batches] == [2, 3, 1]
        assert list(unreadable) == ["0002.jpg"]
        assert "0002.jpg" in unreadable["0002.jpg"]
        for batch in batches:
            for image, one in zip(batch.pixels, batch.records, strict=True):
                assert torch.equal(image, resized(decode(one.uri), InputSpec(32)))

    @pytest.mark.parametrize("workers", [0, 1])
    def test_a_folder_that_is_away_is_no_fault_of_the_images(self, tmp_path, workers):
        (tmp_path / "in").mkdir()
        records = save_all(tmp_path / "in", 4)
        (tmp_path / "in").rename(tmp_path / "away")
        said = raised(ImageStoreError, lambda: list(image_batches(records, InputSpec(32), batch=2, workers=workers)))
        assert re.match(r".*/in: expected the folder of the image 0000\.jpg, found: No such file", said) and "Traceback" not in said

    @pytest.mark.parametrize("workers", [0, 1])
    def test_leaves_the_global_generator_alone(self, tmp_path, workers):
        records = save_all(tmp_path, 2)
        before = torch.get_rng_state()
        list(image_batches(records, InputSpec(32, "fit"), batch=1, workers=workers))
        assert torch.equal(before, torch.get_rng_state())

    def test_nothing_readable_and_nothing_at_all(self, tmp_path):
        (tmp_path / "a.jpg").write_bytes(b"")
        assert list(image_batches([record(tmp_path / "a.jpg")], InputSpec(32), batch=3)) == []
        assert list(image_batches([], InputSpec(32), batch=3)) == []

    @pytest.mark.slow
    def test_memory_is_flat(self, tmp_path):
        records = save_all(tmp_path, 4, size=(400, 300)) * 150  # 600 images of 0.3 MiB at input size
        stream = image_batches(records, InputSpec(320), batch=8)
        for _ in range(8):
            next(stream)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in stream:
            pass
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 * 1024  # KiB; all of them would be 180 MiB

    def test_to_device_is_channels_last(self, tmp_path):
        (batch,) = image_batches(save_all(tmp_path, 2), InputSpec(32), batch=2)
        pixels, valid = to_device(batch, torch.device("cpu"))
        assert pixels.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(pixels, batch.pixels)
        assert valid.tolist() == [[32, 32], [32, 32]]


class Hopeless(torch.utils.data.Dataset):
    def __getitem__(self, key):
        raise StudyError(f"None of the {key} training images can be read.\nThe last: StudyError of a.png")


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_process_raises_for_a_user_comes_without_its_traceback(workers):
    said = raised(StudyError, lambda: list(in_order(Hopeless(), [7], workers=workers)))
    assert said == "None of the 7 training images can be read.\nThe last: StudyError of a.png"


def raised(kind, work):
    """What an error says; it is let go, since the processes of a loader, which have inherited all open pipes, live as long as it does."""
    with pytest.raises(kind) as caught:
        work()
    said = str(caught.value)
    del caught
    gc.collect()
    return said


class TestAhead:
    def test_order_errors_and_an_early_end(self):
        assert list(ahead(lambda n: n * n, range(20))) == [n * n for n in range(20)]
        with pytest.raises(ZeroDivisionError):
            list(ahead(lambda n: 1 // n, [1, 0]))

    def test_works_only_a_little_ahead_and_stops_with_its_reader(self):
        loaded: list[int] = []
        stream = ahead(loaded.append, range(1000), depth=2)
        next(stream)
        stream.close()
        assert len(loaded) <= 4

"""Detections come as the images are read, not all at the end."""

import torch
from PIL import Image

from boxwise.config import DetectorConfig
from boxwise.detectors.detector import build_detector
from boxwise.detectors.prediction import detections, predict
from boxwise.records import ImageRecord


def test_the_first_come_before_the_last_are_read(tmp_path):
    records = []
    for number in range(12):
        path = tmp_path / f"{number:02}.png"
        Image.effect_noise((64, 48), 90).convert("RGB").save(path)
        records.append(ImageRecord(path.name, str(path), 64, 48))
    config = DetectorConfig(name="tiny_ssd", imgsz=64, pretrained="none")
    detector = build_detector("tiny_ssd", ("thing",), config, seed=0, device=torch.device("cpu"))
    expected, _ = predict(detector, records[:11])
    unreadable, done = {}, []
    stream = detections(detector, records, batch=1, on_unreadable=unreadable.__setitem__, progress=lambda *seen: done.append(seen))
    first, boxes = next(stream)
    (tmp_path / "11.png").unlink()
    rest = {record.image_id: found for record, found in stream}
    assert first.image_id == "00.png" and len(boxes) == len(expected["00.png"])
    assert list(rest) == list(expected)[1:] and list(unreadable) == ["11.png"]
    assert done[0] == (1, 12) and done[-1][1] == 12

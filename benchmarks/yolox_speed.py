"""YOLOX-nano against SSDlite in training, and against ONNX Runtime on its own exported file in a forward pass.

Prints ratios within one run: the contestants take turns, each in a process of its own with one thread. Figures are images a second of
the clock and of the processor (all threads of the process); on a machine that does other work as well, trust the second.

    python benchmarks/yolox_speed.py [--data DIR --format voc] [--imgsz 160 320] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from boxwise import runtime

WARM_UP, STEPS = 10, 20  # steps before the clock starts, and timed ones; multiples of the ten between two reports
SMALL, LARGE = "yolox_nano", "ssdlite320_mobilenet_v2"
FORWARD_IMGSZ = 416
Speeds = dict[str, float]


def train(settings: dict[str, Any]) -> Speeds:
    """`fit_network` as `boxwise train` runs it: the family's own recipe, loss head, averaged weights."""
    import torch

    from boxwise.config import DetectorConfig, TrainConfig
    from boxwise.data.datasets import read_dataset
    from boxwise.detectors.detector import build_detector
    from boxwise.detectors.training import fit_network
    from boxwise.records import Sample

    dataset = read_dataset(Path(settings["data"]), format_name=settings["format"])
    labelled = [Sample(image, dataset.labels[image.image_id]) for image in dataset.images if image.image_id in dataset.labels]
    config = DetectorConfig(name=settings["name"], imgsz=settings["imgsz"], pretrained=False)
    detector = build_detector(config.name, dataset.classes, config, seed=0, device=torch.device("cpu"))
    steps = WARM_UP + STEPS
    training = TrainConfig(max_steps=steps, min_steps=steps, schedule="constant", batch=settings["batch"])
    times: dict[int, tuple[float, float]] = {}

    def note(step: int, *_: Any) -> None:
        times[step] = time.perf_counter(), time.process_time()

    fit_network(detector.network, detector.loss_head, labelled[:200], [], training, seed=0, device=torch.device("cpu"), progress=note)
    return _speeds(STEPS * settings["batch"], times[WARM_UP], times[steps])


def forward(settings: dict[str, Any]) -> Speeds:
    """Batches to all boxes, by the copy of the network that boxwise infers with or by ONNX Runtime from the exported file."""
    import numpy as np
    import torch

    from boxwise.config import DetectorConfig
    from boxwise.detectors.detector import build_detector
    from boxwise.detectors.exporting import export, noise
    from boxwise.detectors.fusion import for_inference

    config = DetectorConfig(name=SMALL, imgsz=FORWARD_IMGSZ, pretrained=False)
    detector = build_detector(SMALL, [str(number) for number in range(80)], config, seed=0, device=torch.device("cpu"))
    side, batch = FORWARD_IMGSZ, settings["batch"]
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 3, side, side), dtype=np.uint8)
    run: Callable[[], Any]
    if settings["name"] == "torch":
        network = for_inference(detector.network)
        images = torch.from_numpy(pixels).contiguous(memory_format=torch.channels_last)
        valid = torch.full((batch, 2), side)
        run = lambda: network.every_box(network(images, valid))  # noqa: E731
    else:
        import onnxruntime

        path = Path(settings["folder"]) / "nano.onnx"
        if not path.exists():
            export(detector, path, batch=noise(detector.input, 2), threshold=0.1, about={})
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        run = partial(session.run, None, {"pixels": pixels})
    with torch.inference_mode():
        for _ in range(3):
            run()
        started, passes = (time.perf_counter(), time.process_time()), max(3, 48 // batch)
        for _ in range(passes):
            run()
        return _speeds(passes * batch, started, (time.perf_counter(), time.process_time()))


def _speeds(images: int, started: tuple[float, float], ended: tuple[float, float]) -> Speeds:
    return {"clock": images / (ended[0] - started[0]), "processor": images / (ended[1] - started[1])}


CONTESTS = {"train": train, "forward": forward}


def compete(contest: str, names: tuple[str, str], rounds: int, title: str, **settings: Any) -> None:
    """Print the first's speeds, the second's, and the median of the rounds' ratios."""
    results = []
    for number in range(rounds):
        order = names if number % 2 else names[::-1]
        results.append({name: contestant(contest, settings | {"name": name}) for name in order})
    for clock in ("clock", "processor"):
        ratio = statistics.median(result[names[0]][clock] / result[names[1]][clock] for result in results)
        speeds = ", ".join(f"{name} {statistics.median(result[name][clock] for result in results):.1f}" for name in names)
        print(f"{title}: {speeds} images a second of the {clock}, ratio {ratio:.2f}", flush=True)


def contestant(contest: str, settings: dict[str, Any]) -> Speeds:
    """The speeds that a fresh process prints last."""
    command = [sys.executable, "-W", "ignore", __file__, "--contestant", contest, json.dumps(settings, default=str)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    speeds: Speeds = json.loads(done.stdout.splitlines()[-1])
    return speeds


def main() -> None:
    if sys.argv[1:2] == ["--contestant"]:
        runtime.prepare_environment()  # before torch is imported
        runtime.prepare(threads=1)
        print(json.dumps(CONTESTS[sys.argv[2]](json.loads(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="labelled images; default: generated scenes of digits")
    parser.add_argument("--format", choices=("voc", "coco", "yolo"), default="voc")
    parser.add_argument("--imgsz", type=int, nargs="*", default=[160, 320])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.data is None:
            from boxwise.data.digits import make_digits

            options.data = Path(folder) / "digits"
            make_digits(options.data, seed=0, images=200, imgsz=320)
        material = {"data": options.data, "format": options.format, "folder": folder}
        for imgsz in options.imgsz:
            compete("train", (SMALL, LARGE), options.rounds, f"training at {imgsz} px", imgsz=imgsz, batch=16, **material)
        for batch in (16, 1):
            title = f"forward at {FORWARD_IMGSZ} px, batch {batch}"
            compete("forward", ("torch", "onnxruntime"), options.rounds, title, batch=batch, **material)


if __name__ == "__main__":
    main()

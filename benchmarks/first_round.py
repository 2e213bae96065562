"""From a folder of photographs to a first trained round with no key given: what each command takes.

    python benchmarks/first_round.py DATA FOLDER

copies the training images of a VOC set to FOLDER/photos, without their labels, and does what a newcomer does there: init, run until labels
are asked for, import (the answers are those of DATA), run until the next question. Prints a table in Markdown: seconds by the clock,
processor seconds of the command with what it starts, and at the end what `status` says. The detector's first weights must have been
downloaded before, or be reachable. It does not show how long a person takes to label.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from time import perf_counter


def boxwise(*arguments: object) -> tuple[str, float, float]:
    """What the command printed, its seconds by the clock and those of processors; CalledProcessError where it fails."""
    before, started = _processor_seconds(), perf_counter()
    command = [sys.executable, "-m", "boxwise", *map(str, arguments)]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return printed, perf_counter() - started, _processor_seconds() - before


def waiting(study: Path) -> list[str]:
    """The images that labels are asked for now."""
    return [image["image"] for image in json.loads(boxwise("query", study, "--json")[0])["images"]]


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="A VOC set: JPEGImages, Annotations, ImageSets/Main.")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    photos, study, answers = options.folder / "photos", options.folder / "study", options.folder / "answers"
    (images_of_training, *_) = sorted((options.data / "ImageSets/Main").glob("train*.txt"))  # train, or trainval
    names = images_of_training.read_text().split()
    images = {path.stem: path for path in (options.data / "JPEGImages").iterdir()}
    photos.mkdir(parents=True)
    for name in names:
        shutil.copy(images[name], photos)
    labels = (options.data / "Annotations" / f"{name}.xml" for name in names)
    classes = sorted({found for path in labels for found in re.findall("<name>(.*?)</name>", path.read_text(encoding="utf-8"))})

    rows = [("init", *boxwise("init", study, "--images", photos, "--classes", ",".join(classes))[1:])]
    rows.append(("run, to the first question", *boxwise("run", study)[1:]))
    asked = waiting(study)
    (answers / "Annotations").mkdir(parents=True)
    for image in asked:
        shutil.copy(options.data / "Annotations" / Path(image).with_suffix(".xml").name, answers / "Annotations")
    rows.append((f"import of {len(asked)} images", *boxwise("import", study, answers)[1:]))
    if left := waiting(study):  # an image of which a label is unsound
        boxwise("exclude", study, *left)
    rows.append(("run, to the next question", *boxwise("run", study)[1:]))
    print(f"{len(names)} photographs.\n\n| command | seconds | processor seconds |\n|---|---|---|")
    for command, clock, processor in rows:
        print(f"| {command} | {clock:.0f} | {processor:.0f} |")
    print(boxwise("status", study)[0])


if __name__ == "__main__":
    main()

"""One study through everything that happens to one: it grows, changes, is corrected, moves, is damaged, mended, and goes on.

    python examples/a_study_that_lives.py FOLDER

makes scenes of handwritten digits in FOLDER and runs `boxwise` on them as a user would, printing each command and what it says; the answers
of a person come from the scenes' own labels. A minute or two on two cores.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import boxwise

SMALL = (  # settings of a study that is done in seconds; leave them out for photographs
    *("detector.name=tiny_ssd", "detector.imgsz=96", "detector.pretrained=none", "train.steps=12", "train.batch=4"),
    *("scorer.name=none", "strategy.name=random", "budget.initial=6", "budget.validation=2", "budget.per_round=4", "budget.rounds=1"),
)


def command(*arguments: object, expected: int = 0) -> str:
    """Run `boxwise ...` in a process of its own; print it with what it said, and return that."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ boxwise {' '.join(words)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "boxwise", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    print(done.stdout, end="", flush=True)
    assert done.returncode == expected, done.returncode
    return done.stdout


def answer(study: str, truth: Path, answers: Path) -> list[str]:
    """Label what the study asks for, as a tool would: the files of the images asked about, handed in. Returns the images."""
    state = subprocess.run([sys.executable, "-m", "boxwise", "query", study, "--json"], capture_output=True, text=True, check=True).stdout
    asked = [image["image"] for image in json.loads(state)["images"]]
    shutil.rmtree(answers, ignore_errors=True)
    (answers / "Annotations").mkdir(parents=True)
    for image in asked:
        shutil.copy(truth / "Annotations" / Path(image).with_suffix(".xml").name, answers / "Annotations")
    command("import", study, answers, "--format", "voc")
    return asked


def main() -> None:
    truth, photos, moved, answers = Path("digits"), Path("photos"), Path("archive/photos"), Path("answers")
    boxwise.make_digits(truth, seed=0, images=40)
    scenes = sorted((truth / "JPEGImages").iterdir())
    shutil.copytree(truth / "JPEGImages", photos, ignore=lambda _, names: sorted(names)[30:])
    classes = (truth / "classes.txt").read_text().split()

    print("# A study of a folder of images.")
    command("init", "study", "--images", photos, "--classes", ",".join(classes), *SMALL)
    command("run", "study")
    *_, blurred, doubted = answer("study", truth, answers)  # val's images come first
    command("run", "study")

    print("\n# It grows: new images lie in the folder.")
    for scene in scenes:
        if not (photos / scene.name).exists():
            shutil.copy(scene, photos)
    command("add", "study", "--images", photos)

    print("\n# Its classes and settings change.")
    command("classes", "study", "--rename", f"{classes[0]}=nought")
    command("set", "study", "budget.per_round=3", "cost.per_hour=30")
    command("set", "study", "detector.imgsz=128", expected=2)

    print("\n# Labels are corrected, images go out of use and come back.")
    command("unlabel", "study", doubted)
    command("exclude", "study", blurred, "--reason", "blurred")
    command("include", "study", blurred)
    command("history", "study", doubted)

    print("\n# The images move.")
    moved.parent.mkdir()
    photos.rename(moved)
    command("relocate", "study", "--images", moved)

    print("\n# A file is damaged.")
    config = Path("study/config.yaml")
    config.write_text("")
    command("status", "study", expected=2)
    command("repair", "study")

    print("\n# It goes on to its end, and further.")
    (truth / "classes.txt").write_text("\n".join(["nought", *classes[1:]]))
    for path in (truth / "Annotations").iterdir():
        path.write_text(path.read_text().replace(f"<name>{classes[0]}</name>", "<name>nought</name>"))
    answer("study", truth, answers)
    command("run", "study")
    command("run", "study", "--rounds", 2)
    command("status", "study")

    print("\n# What it has learned, and what people have drawn.")
    command("predict", "study", "--out", "predicted", "--device", "cpu")
    command("export", "study", "labels.json", "--format", "coco")
    command("backup", "study", "study.tar.gz")
    command("restore", "study.tar.gz", "again")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)

    os.chdir(folder)
    main()

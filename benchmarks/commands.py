"""CPU seconds and memory of each command that answers from the store, in processes of their own.

    python benchmarks/commands.py FOLDER [--images 200] [--repeat 3]

makes scenes of handwritten digits and a study of them in FOLDER, runs each command `repeat` times, and prints a table in Markdown: user and
system seconds of the fastest run, and its largest resident memory. Bytecode is compiled before, by one run that does not count.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from boxwise import make_digits

SMALL = ("detector.name=tiny_ssd", "detector.pretrained=none", "budget.initial=20", "budget.validation=0")


# Run by an interpreter of its own, since a process begins with the peak memory of the one that starts it.
SPAWN = """
import os, sys
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
_, status, used = os.wait4(process, 0)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measured(arguments: Sequence[str]) -> tuple[float, float]:
    """CPU seconds and MB of `boxwise ...`; CalledProcessError where it fails."""
    command = [sys.executable, "-S", "-c", SPAWN, sys.executable, "-m", "boxwise", *arguments]
    seconds, memory = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return float(seconds), float(memory)


def best(before: Callable[[], Sequence[str]], repeat: int) -> tuple[float, float]:
    """The fastest of `repeat` runs of the command that `before` prepares."""
    measured(before())
    return min(measured(before()) for _ in range(repeat))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    data, study, labels = options.folder / "digits", str(options.folder / "study"), options.folder / "labels"
    make_digits(data, seed=1, images=options.images)
    names = ",".join((data / "classes.txt").read_text().split())
    made = ("init", study, "--images", str(data / "JPEGImages"), "--classes", names, *SMALL)

    def init() -> Sequence[str]:
        shutil.rmtree(study, ignore_errors=True)
        return made

    def importing() -> Sequence[str]:
        measured(init())
        shutil.rmtree(labels, ignore_errors=True)
        (labels / "Annotations").mkdir(parents=True)
        for path in sorted((data / "Annotations").iterdir())[:20]:
            shutil.copy(path, labels / "Annotations")
        return ("import", study, str(labels))

    rows = {
        f"init of {options.images} images": best(init, options.repeat),
        "status": best(lambda: ("status", study), options.repeat),
        "query": best(lambda: ("query", study), options.repeat),
        "import of 20 images": best(importing, options.repeat),
        "set": best(lambda: ("set", study), options.repeat),
        "doctor of the study": best(lambda: ("doctor", study), options.repeat),
        "history of an image": best(lambda: ("history", study, "scene_0001_00.png"), options.repeat),
        "export": best(lambda: ("export", study, tempfile.mkdtemp(dir=options.folder)), options.repeat),
        "backup": best(lambda: ("backup", study, str(options.folder / "study.tar")), options.repeat),
    }
    print("| command | CPU s | MB |\n|---|---|---|")
    for name, (seconds, memory) in rows.items():
        print(f"| {name} | {seconds:.2f} | {memory:.0f} |")


if __name__ == "__main__":
    main()

"""The house in numbers: rooms, floors, arrows between rooms, the longest file, and what it costs to start a command.

    python tools/house.py [FOLDER]

prints one line a number for the checkout in FOLDER (default: this one); it works on earlier versions too. A room is a module or package
right below `boxwise/`. An arrow leads from a room to another that any of its files imports, at the top or inside a function. Floors are
the rooms on the longest chain of arrows. Seconds are processor time (user and system) of a fresh process, the least of five.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from tempfile import TemporaryDirectory

STARTS = 5


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    files = sorted((root / "boxwise").rglob("*.py"))
    arrows = arrows_between(root / "boxwise", files)
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    longest = max(files, key=lambda path: lines[path])
    print(f"rooms: {len(arrows)}")
    print(f"floors: {floors(arrows)}")
    print(f"arrows between rooms: {sum(map(len, arrows.values()))}")
    print(f"files: {len(files)}, lines: {sum(lines.values())}")
    print(f"longest file: {longest.relative_to(root)}, {lines[longest]} lines")
    with TemporaryDirectory() as folder:
        for name, seconds in start_seconds(root, Path(folder)):
            print(f"boxwise {name}: {seconds:.2f} s")


def arrows_between(package: Path, files: Sequence[Path]) -> dict[str, set[str]]:
    """Room → the rooms it imports; the package's own `__init__` is no room."""
    found: dict[str, set[str]] = {}
    for path in files:
        here = path.relative_to(package).parts[0].removesuffix(".py")
        if here != "__init__":
            found.setdefault(here, set()).update(set(_rooms_imported(path)) - {here})
    return {room: others & found.keys() for room, others in found.items()}


def _rooms_imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "boxwise":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("boxwise."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("boxwise."))


def floors(arrows: dict[str, set[str]]) -> str:
    """How many; or the rooms that import each other, between which there is no floor."""
    height: dict[str, int] = {}
    try:
        for room in TopologicalSorter(arrows).static_order():
            height[room] = 1 + max((height[below] for below in arrows[room]), default=0)
    except CycleError as error:
        return f"none, {' → '.join(reversed(error.args[1]))} import each other"
    return str(max(height.values()))


def start_seconds(root: Path, folder: Path) -> Iterator[tuple[str, float]]:
    """(command, seconds), for a study of three images without any content."""
    (folder / "images").mkdir()
    for number in range(3):
        (folder / "images" / f"{number}.ppm").write_bytes(b"P6 64 64 255\n" + bytes([number]) * (64 * 64 * 3))
    init = ("--images", "images", "--classes", "cat", "detector.pretrained=false")
    yield "--help", min(_seconds(root, folder, "--help") for _ in range(STARTS))
    yield "init", min(_seconds(root, folder, "init", f"study_{number}", *init) for number in range(STARTS))
    yield "status", min(_seconds(root, folder, "status", "study_0") for _ in range(STARTS))


def _seconds(root: Path, folder: Path, *arguments: str) -> float:
    before = os.times()
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-m", "boxwise", *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"boxwise {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main()

"""The laws of the house, read from the imports: they go down, rooms of one floor stay apart, some rooms are closed to others."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import boxwise

ROOT = Path(boxwise.__file__).parent
FLOORS = [
    ["errors", "boxes"],
    ["files", "records", "config", "jsonable", "runtime", "workers"],
    ["data", "store", "evaluation"],
    ["annotation", "detectors", "strategies", "policies"],
    ["artifacts"],
    ["scorers"],
    ["embedders"],
    ["registry"],
    ["rounds"],
    ["study"],
    ["results", "inference"],
    ["report", "labelstudio", "cvat", "simulation", "web", "testing"],
    ["cli"],
    ["__main__"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def room_of(module: str) -> str:
    return module.split(".")[1]


def imports(path: Path, *, typing_too: bool = False) -> set[str]:
    """Every boxwise module that a file imports, at its top or inside a function; TYPE_CHECKING blocks only when asked for."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" and not typing_too
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "boxwise":
            found |= {f"boxwise.{alias.name}" for alias in node.names if not alias.name.startswith("__")}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("boxwise."):
            found |= {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("boxwise.")}
    return found


def shown_floors() -> list[set[str]]:
    """The rooms of each floor in the table of docs/architecture.md, the lowest first."""
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d+ \| ([^|]*) \|", page, re.MULTILINE)
    return [set(re.findall(r"`(\w+)(?:\.py|/)`", rooms)) for rooms in reversed(rows)]


def own_room(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def test_the_docs_show_the_floors_as_they_are():
    assert shown_floors() == [set(rooms) for rooms in FLOORS]
    assert {own_room(path) for path in FILES} == set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    here = own_room(path)
    upward = {module for module in imports(path) if room_of(module) != here and FLOOR[room_of(module)] >= FLOOR[here]}
    assert not upward, f"{path.relative_to(ROOT)} imports upward or from a room of its own floor: {sorted(upward)}"


@pytest.mark.parametrize(
    ("room", "also"),
    [
        ("strategies", {"boxwise.evaluation.entropy", "boxwise.evaluation.normalize"}),
        ("policies", {"boxwise.evaluation.entropy", "boxwise.evaluation.self_paced"}),
    ],
)
def test_strategies_and_policies_never_reach_detectors_store_or_truth(room, also):
    reached = {module for path in (ROOT / room).glob("*.py") for module in imports(path)} - also
    assert {room_of(module) for module in reached} <= {room, "records", "boxes", "errors", "config"}


def test_only_the_simulation_reaches_the_simulated_annotator():
    reaching = {own_room(path) for path in FILES if "boxwise.simulation.annotator" in imports(path, typing_too=True)}
    assert reaching == {"simulation"}


def test_only_the_store_writes_sql():
    assert {own_room(path) for path in FILES if "import sqlalchemy" in path.read_text(encoding="utf-8")} == {"store"}


@pytest.mark.parametrize("room", ["cli", "web", "labelstudio", "cvat", "report", "results", "inference"])
def test_pages_commands_and_reports_ask_the_study_and_not_its_store(room):
    files = [path for path in FILES if own_room(path) == room]
    assert files and not [path.name for path in files if re.search(r"\b(opened|study|_study|made)\.store\b", _code(path))]


def _code(path: Path) -> str:
    """A file without its imports, in which `boxwise.store` may be named for its types."""
    return "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if "import" not in line)


def test_only_what_trains_or_scores_imports_torch():
    importing = {
        own_room(path)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] in ("torch", "torchvision") for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("torch", "torchvision"))
    }
    assert importing <= {"detectors", "scorers", "embedders", "runtime", "simulation", "testing"}


@pytest.mark.parametrize(
    ("modules", "never"),
    [
        ("boxwise.cli, boxwise.study, boxwise.data.datasets", {"torch", "fastapi", "uvicorn"}),
        ("boxwise.web.app, boxwise.web.server", {"torch"}),
        ("boxwise.registry", {"torch", "sklearn"}),
    ],
)
def test_help_status_import_and_the_page_do_not_load(modules, never):
    code = f"import sys, {modules}; print(sorted({never} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_files_can_be_read_at_one_sitting():
    long = {str(path.relative_to(ROOT)): lines for path in FILES if (lines := len(path.read_text().splitlines())) >= 400}
    assert not long

"""Every file in examples/ runs as its first lines say, and so do the cells of the notebook, one after another."""

import json
import os
import re
from pathlib import Path

import processes
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
TUTORIALS = EXAMPLES.with_name("docs") / "tutorials"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
pytestmark = pytest.mark.slow


# A script that runs twenty commands one after another spends most of its time on their imports.
FORKING = "import runpy, subprocess, sys; sys.path.insert(0, {tests!r}); import processes; subprocess.run = processes.run_python; {go}"


def run(*arguments, cwd):
    done = processes.run(*arguments, cwd=cwd, env=os.environ | {"MPLBACKEND": "Agg"}, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def blanked(text):
    """The lines without what differs from machine to machine: numbers, times, who, which classes were drawn, how far a slow step is."""
    lines = [line for line in text.splitlines() if line.strip() and not re.match(r"round \d+ \w+ \d+/\d+|This round takes", line)]
    for pattern, blank in (
        (r"[ ─━]+", " "),
        (r"\([^()]*\)", "()"),
        (r"\([^()]*\)", "()"),  # brackets within them are blank by now
        (r"-?\d+([:.,T+-]\d+)*( (s|min)\b)?", "#"),
        (r"(# (zero|one|two|three|four|five|six|seven|eight|nine), )+", ""),
        (r"\bby \w+", "by"),
    ):
        lines = [re.sub(pattern, blank, line).strip() for line in lines]
    return lines


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_how_it_is_run_and_runs(name, tmp_path):
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert f"python examples/{name} FOLDER" in text
    go = FORKING.format(tests=str(Path(__file__).parent), go=f"runpy.run_path({str(EXAMPLES / name)!r}, run_name='__main__')")
    printed = run("-c", go, tmp_path, cwd=tmp_path)
    assert printed
    page = TUTORIALS / Path(name).with_suffix(".md").name
    if page.is_file() and (shown := re.search(r"^```text\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)):
        assert blanked(printed.replace(os.path.realpath(tmp_path), "FOLDER")) == blanked(shown[1])


def test_the_notebook_runs_and_keeps_no_output(tmp_path):
    notebook = json.loads((EXAMPLES / "first_study.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 5 and not any(cell["outputs"] for cell in cells)
    code = "\n\n".join("".join(cell["source"]) for cell in cells)
    assert "60 images of zero" in run("-c", code, cwd=tmp_path)
    assert (tmp_path / "first_study" / "curve.png").stat().st_size > 1000


def test_every_example_is_listed():
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"({path.name})" in listed for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb"))

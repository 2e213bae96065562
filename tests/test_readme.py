"""What README and docs show runs as written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import processes
import pytest

from boxwise.data.images import write_image

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder, pattern in (("", "*.md"), ("docs", "**/*.md"), ("examples", "*.md"), ("benchmarks", "*.md"))
    for path in (ROOT / folder).glob(pattern)
)


def blocks(page, language):
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(60):
        write_image(rng.integers(0, 255, (80, 80, 3), dtype=np.uint8), tmp_path / "photos" / f"{number:02d}.jpg")
    return tmp_path


@pytest.mark.slow
def test_the_python_example_runs(photos):
    (code,) = blocks("README.md", "python")
    code = code.replace('"budget.rounds=1"', '"budget.rounds=1", "train.min_steps=5", "train.max_steps=5", "scorer.vae.steps=5"')
    ran = processes.run("-c", code, cwd=photos)
    assert ran.returncode == 0, ran.stderr
    assert (photos / "study" / "rounds" / "round_00" / "weights.pt").exists()


def test_every_command_shown_exists_with_its_options():
    import typer

    from boxwise.cli import app

    command = typer.main.get_command(app)
    shown = [line.split("#")[0].split() for page in PAGES for block in blocks(page, "bash") for line in block.splitlines()]
    shown = [words[1:] for words in shown if words[:1] == ["boxwise"]]
    assert len(shown) >= 40
    for verb, *arguments in shown:
        called = command.commands[verb]
        while hasattr(called, "commands"):
            called = called.commands[arguments.pop(0)]
        options = {name for parameter in called.params for name in (*parameter.opts, *parameter.secondary_opts)}
        assert {argument for argument in arguments if argument.startswith("--")} <= options, (verb, arguments)


def run_block(page, file):
    """What the Python block whose first line names `file` defines."""
    (code,) = [block for block in blocks(page, "python") if block.splitlines()[0].endswith(file)]
    names = {}
    exec(compile(code, file, "exec"), names)
    return names


def test_the_policy_of_the_docs_keeps_the_promises():
    names = run_block("docs/extending.md", "newest.py")
    from boxwise.boxes import Boxes
    from boxwise.policies.base import Material
    from boxwise.records import Annotation

    old, new = (Annotation(name, Boxes.empty(), (), True) for name in ("old", "new"))
    material = Material(1, 4, {"old": old}, {"new": new}, ("new",), lambda: iter(()), 2)
    plan = names["Newest"]().compose(material, rng=np.random.default_rng(0))
    assert plan.train == plan.joins == ("new",)


STRATEGY_NAMED = """
import sys
import pytest
from boxwise import registry

sys.path.insert(0, {tests!r})
from test_readme import run_block
crowded = run_block("docs/tutorials/add_a_strategy.md", "crowded.py")["Crowded"]
registry.STRATEGIES.register("crowded", registry.Method(crowded, "crowds first", needs=frozenset({{"trained_detector"}})))
sys.exit(pytest.main(["contracts/test_strategy.py", "-k", "crowded", "-p", "no:cacheprovider"]))
"""


@pytest.mark.slow
def test_the_strategy_of_the_docs_keeps_the_promises():
    """It passes the contract suite once it is named, as the page says."""
    code = STRATEGY_NAMED.format(tests=str(ROOT / "tests"))
    ran = processes.run("-c", code, cwd=ROOT / "tests")
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("duplicates", ["null", "0.999"])
def test_the_strategy_of_the_docs_serves_a_study(hidden, tiny_overrides, tmp_path, monkeypatch, duplicates):
    from boxwise import registry
    from boxwise.artifacts.scored_pool import read_scored_pool
    from boxwise.config import load_config
    from boxwise.records import Phase
    from boxwise.study import Study

    strategy = run_block("docs/tutorials/add_a_strategy.md", "crowded.py")["Crowded"]
    monkeypatch.setitem(registry.STRATEGIES.own, "crowded", registry.Method(strategy, "crowds first"))
    chosen = ("scorer.name=none", "strategy.name=crowded", f"strategy.duplicates={duplicates}", "budget.val_per_round=0")
    study = Study.create(tmp_path / "study", hidden[1], config=load_config(None, (*tiny_overrides, *chosen)))
    while study.store.position != (1, Phase.ANNOTATE):
        if study.store.position[1] is Phase.ANNOTATE:
            study.answer(hidden[0])
        study.step()
    pool = read_scored_pool(study.files(0))
    expected = dict(zip(pool.scores.image_ids, pool.box_counts, strict=True))
    asked = [item.utility for item in study.store.query(1).items]
    assert len(asked) == 4 and asked == [expected[image_id] for image_id in study.store.query(1).image_ids]


def write_block(page, file, folder, *, language="python"):
    """The block whose first line names `file`, or the only one of its language, as a file in `folder`."""
    found = blocks(page, language)
    (code,) = found if len(found) == 1 else [block for block in found if block.splitlines()[0].endswith(file)]
    (folder / file).write_text(code)


DETECTOR_NAMED = """
import sys
from dataclasses import replace
import pytest
from boxwise.detectors import names

sys.path.insert(0, {folder!r})
names.DETECTORS["two_levels"] = replace(eval({entry!r}, vars(names)), builder="two_levels:two_levels")
sys.exit(pytest.main(["contracts/test_detector.py", "-k", "two_levels", "-p", "no:cacheprovider"]))
"""


@pytest.mark.slow
def test_the_detector_of_the_docs_keeps_the_promises(tmp_path):
    write_block("docs/tutorials/add_a_detector.md", "two_levels.py", tmp_path)
    (entry,) = [block for block in blocks("docs/tutorials/add_a_detector.md", "python") if block.startswith('"two_levels": ')]
    code = DETECTOR_NAMED.format(folder=str(tmp_path), entry=entry.removeprefix('"two_levels": ').rstrip().rstrip(","))
    command = [sys.executable, "-c", code]  # from nothing: a registry that was imported before does not see the new name
    ran = subprocess.run(command, cwd=ROOT / "tests", capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.slow
def test_the_package_of_the_docs_is_listed_once_it_is_installed(tmp_path):
    write_block("docs/tutorials/plugin.md", "boxwise_crowded.py", tmp_path)
    write_block("docs/tutorials/plugin.md", "pyproject.toml", tmp_path, language="toml")
    site = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--target",
        site,
        tmp_path,
    ]
    subprocess.run(install, check=True, capture_output=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    show = "from boxwise import load_config, registry; print(registry.STRATEGIES['crowded'].about)"
    show += "; print(load_config(None, ['strategy.name=crowded', 'strategy.crowded.most=20']).strategy.name)"
    ran = subprocess.run([sys.executable, "-c", show], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stdout.splitlines() == ["the images on which the detector expects the most boxes", "crowded"], ran.stderr


PACKED = """
import sys
from pathlib import Path
import pytest
import torch
import boxwise
from boxwise.config import DetectorConfig
from boxwise.registry import build_detector
from boxwise.testing import DetectorContract


class TestTwoLevels(DetectorContract):
    names = ("two_levels",)


def test_its_weights_predict_without_their_study(tmp_path):
    detector = build_detector(("cat", "dog"), DetectorConfig(name="two_levels", pretrained="none"), seed=0, device=torch.device("cpu"))
    detector.save(tmp_path / "weights.pt")
    assert boxwise.load(tmp_path / "weights.pt").classes == ("cat", "dog")
"""


@pytest.mark.slow
def test_the_detector_of_the_docs_as_a_package_keeps_the_promises(tmp_path):
    write_block("docs/tutorials/add_a_detector.md", "two_levels.py", tmp_path)
    for file in ("two_levels_detector.py", "two_levels_method.py"):
        write_block("docs/tutorials/plugin.md", file, tmp_path)
    facts = tmp_path / "two_levels-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: two-levels\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[boxwise.detectors]\ntwo_levels = two_levels_method:TWO_LEVELS\n")
    (tmp_path / "test_two_levels.py").write_text(PACKED)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", tmp_path, "test_two_levels.py"]
    ran = subprocess.run(suite, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """On the disk, as a reader of the repository follows them; the site's own are checked when it is built."""
    links = re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))
    lost = [link for link in links if not link.startswith("http") and not (ROOT / page).parent.joinpath(link).exists()]
    assert [link for link in lost if Path(link).name not in ("config.md", "methods.md", "cli.md")] == []  # made of the code

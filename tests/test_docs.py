"""The documentation as a site: it builds without a broken link, and its reference holds every key and option that there is."""

import os
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
import typer

import boxwise
from boxwise.cli import app
from boxwise.config import StudyConfig, leaves
from boxwise.registry import KINDS

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow  # a site is built


def build(source, target):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", source / "mkdocs.yml", "--site-dir", target]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    target = tmp_path_factory.mktemp("site")
    built = build(ROOT, target)
    assert built.returncode == 0, built.stderr
    return target


def text(site, page):
    return unescape((site / page).read_text(encoding="utf-8"))


def test_every_key_of_the_configuration_is_in_the_reference_with_what_it_does(site):
    page = text(site, "reference/config.html")
    keys = [key for key, _ in leaves(StudyConfig().model_dump(mode="json"))]
    assert len(keys) > 50
    assert [key for key in keys if f"<code>{key}</code>" not in page] == []
    assert "<td></td>\n</tr>" not in page  # the last column says what the key does


def test_every_method_is_in_the_reference(site):
    page = text(site, "reference/methods.html")
    assert [name for methods in KINDS.values() for name in methods.own if f"<code>{name}</code>" not in page] == []


def commands(command, name="boxwise"):
    """(name, command) of everything that can be run."""
    for verb, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {verb}")
    if not hasattr(command, "commands"):
        yield name, command


def test_every_command_and_option_is_in_the_reference(site):
    page = text(site, "reference/cli.html")
    there = dict(commands(typer.main.get_command(app)))
    assert len(there) > 30
    for name, command in there.items():
        assert name in page
        shown = [parameter for parameter in command.params if not parameter.hidden]
        assert [option for parameter in shown for option in parameter.opts if option.startswith("--") and option not in page] == []


def test_every_public_name_is_in_the_reference(site):
    page = text(site, "reference/api.html")
    names = set(boxwise.__all__) - {"__version__", "StudyConfig", "BoxwiseError"}
    assert [name for name in sorted(names) if f".{name}" not in page] == []


def test_the_site_opens_with_the_readme_and_its_pictures(site):
    assert "Active learning for object detection" in text(site, "index.html")
    assert (site / "images/page.png").exists() and (site / "images/learning_curve.png").exists()


def test_a_broken_link_is_an_error_that_names_the_page(tmp_path):
    for name in ("docs", "tools", "examples", "benchmarks", "boxwise"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mkdocs.yml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    with (tmp_path / "docs/tutorials/label_a_folder.md").open("a") as page:
        page.write("\n[lost](../nowhere.md)\n")
    built = build(tmp_path, tmp_path / "site")
    assert built.returncode != 0 and "tutorials/label_a_folder.md" in built.stderr and "nowhere.md" in built.stderr

"""The wheel works outside the checkout: templates are in it, the command starts."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow  # a wheel is built


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with nothing but the unpacked wheel."""
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("not a checkout: nothing to build a wheel from")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy, so that nothing of an earlier build gets in and nothing is left in the checkout
    shutil.copytree(ROOT / "boxwise", source / "boxwise", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site, *arguments):
    environment = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run([sys.executable, *arguments], cwd=site.parent, env=environment, capture_output=True, text=True, check=True)


def test_everything_that_reports_and_pages_need_is_inside(site):
    for folder in ("boxwise/report/templates", "boxwise/web/static"):
        here = {path.name for path in (ROOT / folder).iterdir()}
        assert here and {path.name for path in (site / folder).iterdir()} == here
    assert (site / "boxwise/py.typed").exists() and not (site / "tests").exists()


def test_the_command_runs_from_the_wheel(site):
    assert "simulate" in run(site, "-m", "boxwise", "--help").stdout
    make = "from boxwise.data.digits import make_digits; from pathlib import Path; make_digits(Path('digits'), seed=0, images=10)"
    run(site, "-c", make)
    assert "10 usable images" in run(site, "-m", "boxwise", "doctor", "digits").stdout
    assert str(site) in run(site, "-c", "import boxwise; print(boxwise.__file__)").stdout

"""A hook of mkdocs: the pages that are not files of docs/, and links that lead out of it.

README, CONTRIBUTING and CHANGELOG become pages of the site, the reference is made of the code, and each file of the repository that a
page links to comes along under `source/`, so that the site needs nothing from elsewhere.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from reference import cli_page, config_page, methods_page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
FROM_ROOT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/README.md": "examples.md",
    "benchmarks/README.md": "benchmarks.md",
}
MADE = {"reference/config.md": config_page, "reference/methods.md": methods_page, "reference/cli.md": cli_page}
_LINK = re.compile(r"(\]\()([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages that docs/ does not hold join it, and the files that any page links to."""
    for name, page in FROM_ROOT.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    for name, made in MADE.items():
        files.append(File.generated(config, name, content=made()))
    for path in sorted({path for page in _written() for path in _linked(page) if _site_path(path).startswith("source/")}):
        files.append(File.generated(config, _site_path(path), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links between files of the repository become links between pages of the site."""
    origin = _origin(page.file.src_uri)
    return _LINK.sub(lambda link: link[1] + _on_the_site(link[2], origin, page.file.src_uri), markdown)


def _on_the_site(link: str, origin: Path, page: str) -> str:
    target = (origin.parent / link).resolve()
    if "://" in link or not target.is_file() or ROOT not in target.parents:
        return link  # mkdocs says so where it leads nowhere
    return os.path.relpath(_site_path(target), Path(page).parent).replace(os.sep, "/")


def _written() -> list[Path]:
    return [*sorted(DOCS.rglob("*.md")), *(ROOT / name for name in FROM_ROOT)]


def _linked(page: Path) -> set[Path]:
    """The files of the repository that a page links to."""
    targets = {(page.parent / link[2]).resolve() for link in _LINK.finditer(page.read_text(encoding="utf-8"))}
    return {target for target in targets if target.is_file() and ROOT in target.parents}


def _origin(page: str) -> Path:
    """The file in the repository that a page of the site is made from."""
    return next((ROOT / name for name, made in FROM_ROOT.items() if made == page), DOCS / page)


def _site_path(path: Path) -> str:
    """Where a file of the repository lies on the site."""
    name = path.relative_to(ROOT).as_posix()
    return FROM_ROOT.get(name) or (name.removeprefix("docs/") if name.startswith("docs/") else f"source/{name}")

"""Runs the command in this process, as a user would type it."""

import pytest

from boxwise.cli import main


@pytest.fixture
def boxwise(monkeypatch, capsys):
    """`boxwise("status", folder)` → (exit code, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["boxwise", *map(str, arguments)])
        capsys.readouterr()
        try:
            code = main() or 0
        except SystemExit as ended:
            code = ended.code or 0
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run

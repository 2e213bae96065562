"""The shell completes commands and options: what `boxwise --install-completion` has a shell run at each press of Tab."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("boxwise")


@pytest.mark.skipif(not PROGRAM.exists(), reason="boxwise is not installed in this environment")
@pytest.mark.parametrize(
    ("typed", "word", "offered"),
    [("boxwise sta", 1, "status"), ("boxwise run study --ro", 3, "--rounds"), ("boxwise export-m", 1, "export-model")],
)
@pytest.mark.slow
def test_bash_is_offered_commands_and_options(typed, word, offered):
    environment = os.environ | {"_BOXWISE_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(word)}
    done = subprocess.run([PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert offered in done.stdout.split(), done.stderr

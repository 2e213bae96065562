"""Many commands in one process, for tests that are about what commands say and not about processes: importing is done once."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

SERVER = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from boxwise.cli import main

for line in sys.stdin:
    sys.argv = ["boxwise", *json.loads(line)]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
    print(json.dumps([code, out.getvalue(), err.getvalue(), sorted({"torch", "torchvision"} & sys.modules.keys())]), flush=True)
"""


class Done(NamedTuple):
    """How a command ended. heavy: what it, or a command before it, has imported of torch."""

    code: int
    stdout: str
    stderr: str
    heavy: list[str]


@contextmanager
def commands(folder: Path, environment: Mapping[str, str], *, by: Sequence[str] = ()) -> Iterator[Callable[..., Done]]:
    """A function that runs `boxwise ...` in `folder`; all its commands run in one process, one after another. by: what starts that."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*by, sys.executable, "-c", SERVER], cwd=folder, env=dict(environment), **pipes) as process:

        def boxwise(*arguments: object) -> Done:
            print(json.dumps([str(argument) for argument in arguments]), file=process.stdin, flush=True)
            return Done(*json.loads(process.stdout.readline()))

        yield boxwise
        process.stdin.close()

"""Real processes that need not import torch for seconds: each is forked from a server that has imported it.

`start` and `run` take the words of a command of Python (`-m MODULE`, `-c CODE` or FILE, then arguments). What they begin is a process like
any other: it has an id, an environment and files of output of its own, takes signals and ends with an exit code. Where there is no fork
server to trust, as on Windows and macOS, it begins from nothing. What a command begins, to train or as workers, is forked too.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.forkserver import _forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from boxwise.cli import training_process
from boxwise.web import assistant
from boxwise.workers import processes as workers

_FORKS = sys.platform == "linux"
_CONTEXT = multiprocessing.get_context("forkserver" if _FORKS else "spawn")
_subprocess_run = subprocess.run
_STREAMS = ("stdin", "stdout", "stderr")
_LIGHT, _HEAVY = ("boxwise.cli", "boxwise.study"), ("boxwise.detectors.detector", "boxwise.rounds.evaluate")
# What most commands that train import later than that, which took each of them a second.
_HEAVY += ("scipy.stats", "sklearn.datasets", "sklearn.isotonic", "torch.utils.tensorboard", "boxwise.report.html")
_HEAVY += ("boxwise.simulation.simulate", "boxwise.scorers.building", "boxwise.rounds.score", "boxwise.detectors.tiny_ssd")


def fork_workers() -> None:
    """Let the workers of this process, as of `--jobs`, be forked from the server too; those of the processes that it starts begin anew."""
    if _FORKS:
        workers._BEGUN = "forkserver"


def prepare(*, torch: bool) -> None:
    """What the server imports, when it is first asked for a process: all of boxwise, or what needs no torch."""
    if _FORKS:
        _CONTEXT.set_forkserver_preload([*_LIGHT, *_HEAVY] if torch else [*_LIGHT])


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def start(
    *words: object,
    out: Path | str = os.devnull,
    err: Path | str = os.devnull,
    env: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
) -> BaseProcess:
    """A process that does what `python WORDS` does, with its output in the files `out` and `err`, which may be one."""
    streams = (str(out), str(err))
    arguments = ([str(word) for word in words], str(cwd or Path.cwd()), dict(env or os.environ), streams)
    process = _CONTEXT.Process(target=_do, args=arguments)
    process.start()
    return process


def run_python(command: Sequence[str], **options: Any) -> "subprocess.CompletedProcess[str]":
    """For `subprocess.run` in a script that runs commands of Python one after another: each is forked from the script's process."""
    if not _FORKS or command[0] != sys.executable:
        return _subprocess_run(command, text=True, **{key: value for key, value in options.items() if key != "text"})
    sys.stdout.flush()
    with TemporaryDirectory() as folder:
        out = Path(folder, "out")
        err = out if options.get("stderr") is subprocess.STDOUT else Path(folder, "err")
        arguments = (command[1:], str(Path.cwd()), dict(os.environ), (str(out), str(err)))
        process = multiprocessing.get_context("fork").Process(target=_do, args=arguments)
        process.start()
        process.join()
        if options.get("check") and process.exitcode:
            raise subprocess.CalledProcessError(process.exitcode, command, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))
        return subprocess.CompletedProcess(command, process.exitcode, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))


def run(*words: object, env: Mapping[str, str] | None = None, cwd: Path | str | None = None, timeout: float = 300.0) -> Done:
    """What `python WORDS` does, to its end."""
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = start(*words, out=out, err=err, env=env, cwd=cwd)
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise TimeoutError(f"not done after {timeout} seconds: {words}\n{err.read_text(encoding='utf-8')}")
        return Done(process.exitcode, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))


class Forked:
    """A `subprocess.Popen` of a command of Python, as far as boxwise uses it: forked from the server.

    The standard streams that are to be pipes are named ones, which end with the process that holds their other end, as pipes do.
    """

    def __init__(self, command: Sequence[str], *, start_new_session: bool = False, **wanted: Any) -> None:
        with TemporaryDirectory() as folder:
            streams = [str(_pipe(folder, name) if wanted.get(name) else _file(number)) for number, name in enumerate(_STREAMS)]
            arguments = (start_new_session, streams[0], command[1:], str(Path.cwd()), dict(os.environ), streams[1:])
            self._process = _CONTEXT.Process(target=_do_with_input, args=arguments)
            self._process.start()
            self.pid = self._process.pid
            for stream, name in zip(streams, _STREAMS, strict=True):
                mode = "w" if name == "stdin" else "r"
                setattr(self, name, Path(stream).open(mode, encoding="utf-8", errors="replace") if wanted.get(name) else None)  # noqa: SIM115

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("forked", timeout or 0.0)
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()


def fork_children(*modules: ModuleType) -> None:
    """Let what these modules of boxwise begin in this process be forked from the server."""
    if _FORKS:
        for module in modules:
            module.subprocess = SimpleNamespace(**vars(subprocess) | {"Popen": Forked})


def _pipe(folder: str, name: str) -> Path:
    os.mkfifo(path := Path(folder, name))
    return path


def _file(number: int) -> Path:
    """The file that a stream of this process is, or what takes everything and gives nothing."""
    found = Path(f"/proc/self/fd/{number}").readlink()
    return found if found.is_file() else Path(os.devnull)


def _do_with_input(alone: bool, stdin: str, *rest: Any) -> None:
    if alone:
        os.setsid()
    os.dup2(os.open(stdin, os.O_RDONLY), 0)
    sys.stdin = os.fdopen(0, closefd=False, encoding="utf-8")
    _do(*rest)


def _do(words: Sequence[str], folder: str, environment: Mapping[str, str], streams: Sequence[Path | str]) -> None:
    for number, path in enumerate(streams, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    # those of the server remember whether what they wrote to could be moved within
    sys.stdout = os.fdopen(1, "w", closefd=False, encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", closefd=False, encoding="utf-8", buffering=1)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    first, *rest = words
    if first == "-m" and _FORKS:
        _forkserver.ensure_running = lambda: None  # it does run, since this process is forked from it
        workers._BEGUN = "forkserver"
        fork_children(assistant, training_process)
    if first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "-c", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = [first, *rest]
        sys.path.insert(0, str(Path(first).parent))
        runpy.run_path(first, run_name="__main__")

"""The page's models: they run in a process of their own, so that the server's never waits for torch and answers others meanwhile.

Returns plain JSON values. The process is started when it is first needed, again where it has died, and ends when idle or with the server.
What a click waits for goes before what is prepared ahead. Knows processes; what is computed is assistant_process.py's.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from concurrent.futures import Future
from contextlib import suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from queue import Empty, PriorityQueue
from threading import Lock, Thread
from typing import Any

from boxwise.config import LabellingConfig
from boxwise.errors import BoxwiseError, ConfigError

IDLE_SECONDS = 600.0  # after which the process is ended
_NOW, _AHEAD = 0, 1
_AT_THE_HUB = r"[\w-]+/[\w.-]+"
Asked = tuple[int, int, dict[str, Any], "Future[Any]"]


def check_assist(config: LabellingConfig) -> None:
    """Raises ConfigError where what `labelling.assist` needs is not here; loads nothing."""
    if config.assist != "sam2":
        return
    if find_spec("transformers") is None:
        raise ConfigError("labelling.assist=sam2 needs the package transformers: pip install 'boxwise[hf]'")
    folder = Path(config.sam2).expanduser()
    if not re.fullmatch(_AT_THE_HUB, config.sam2) and not (folder / "config.json").is_file():
        raise ConfigError(f"labelling.sam2={config.sam2}: expected a name at the hub or a folder of save_pretrained; found neither.")


class Assistant:
    """Models of one study, asked one request at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: PriorityQueue[Asked] = PriorityQueue()
        self._numbers = count()
        self._process: subprocess.Popen[str] | None = None
        self._starting = Lock()
        self._thread: Thread | None = None

    def ask(self, request: dict[str, Any]) -> Any:
        """The answer to a request of assistant_process.py. Raises BoxwiseError with the reason where there is none."""
        return self._put(_NOW, request).result()

    async def answer(self, request: dict[str, Any]) -> Any:
        """As `ask`, without a thread that waits meanwhile."""
        return await asyncio.wrap_future(self._put(_NOW, request))

    def prepare(self, request: dict[str, Any]) -> None:
        """Have something computed once nobody waits for anything else; whoever asks for it later gets it at once."""
        self._put(_AHEAD, request)

    def close(self) -> None:
        """End the process, whose memory is others' then; the next request starts another."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with suppress(OSError):  # it has ended by itself
                process.stdin.close()
            process.wait()

    def _put(self, priority: int, request: dict[str, Any]) -> Future[Any]:
        answer: Future[Any] = Future()
        self._waiting.put((priority, next(self._numbers), request, answer))
        with self._starting:
            if self._thread is None:
                self._thread = Thread(target=self._serve, daemon=True, name="boxwise-assistant")
                self._thread.start()
        return answer

    def _serve(self) -> None:
        while True:
            try:
                _, _, request, answer = self._waiting.get(timeout=IDLE_SECONDS)
            except Empty:
                self.close()
                continue
            if not answer.set_running_or_notify_cancel():  # whoever asked is gone
                continue
            try:
                answer.set_result(self._answered(request))
            except Exception as error:  # whoever asked hears of it, and the next request is answered
                answer.set_exception(error)

    def _answered(self, request: dict[str, Any]) -> Any:
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            self._process = None
            raise BoxwiseError(f"the models' process ended with code {process.wait()}; its own message is where the server prints.")
        reply = json.loads(line)
        if "fault" in reply:
            raise BoxwiseError(reply["fault"])
        return reply["answer"]

    def _running(self) -> subprocess.Popen[str]:
        """The process; its standard input closes with this one, which ends it."""
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-m", "boxwise.web.assistant_process", str(self._folder)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self._process

"""Workers on a Ray cluster: functions are tasks that are run again, elsewhere, where the process that ran them has died.

Ray is imported when a cluster is opened, and all that it raises becomes one message. Knows nothing of what the tasks do; those that
are run again have to go on from what they left.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boxwise.errors import BoxwiseError, ConfigError
from boxwise.workers.base import Workers

_RETRIES = 3  # times that a task is run again where its worker died
_SECONDS_TO_ANSWER = 5.0
_LAST_PORT = 65535
_OBJECTS = 200 * 2**20  # bytes of a local cluster's object store: tasks read and write files, and return next to nothing
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_NUM_REDIS_GET_RETRIES": "2"}
# Where something else than a cluster answers, Ray's core would write a line each few seconds above the one message; so it writes one.
_QUIET_ELSEWHERE = {"RAY_BACKEND_LOG_LEVEL": "fatal"}
_PATHS = "All nodes have to see the study's folder and the images under the same paths."
_TOKEN = "Where the cluster asks for a token: is RAY_AUTH_MODE=token set here, and RAY_AUTH_TOKEN the one of its head?"
_KEPT = "What was done is kept: the same command goes on."


def address_of(on: str) -> str | None:
    """The cluster that "ray" (None: one of this machine's processors) or "ray=ADDRESS" means. Raises ConfigError for anything else."""
    kind, given, address = on.partition("=")
    host, _, port = address.rpartition(":")
    if kind != "ray" or (given and not (host and port.isdecimal() and 0 < int(port) <= _LAST_PORT)):
        raise ConfigError(f"--on {on!r}: expected ray, for this machine, or ray=HOST:PORT of a cluster, such as ray=10.0.0.1:6379.")
    return address or None


class Cluster:
    """A Ray cluster that this process is connected to."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def workers(self, *, device: str = "auto", threads: int = 0) -> Workers:
        """Those that tasks for `device` get: a GPU each where the cluster has any and the device is not "cpu", else `threads`
        processors (0: one).

        Raises BoxwiseError where no node has as many.
        """
        nodes = [node["Resources"] for node in self._nodes()]
        gpus = 0 if device == "cpu" else sum(int(node.get("GPU", 0)) for node in nodes)
        if gpus:
            return _Tasks(self._ray, gpus, {"num_gpus": 1})
        cpus = max(1, threads)
        count = sum(int(node.get("CPU", 0)) // cpus for node in nodes)
        if not count:
            raise BoxwiseError(f"no node of the cluster has threads={cpus} processors: `boxwise set STUDY threads=N` with fewer.")
        return _Tasks(self._ray, count, {"num_cpus": cpus})

    def check_versions(self) -> None:
        """Raises BoxwiseError naming a node whose boxwise or torch is not this machine's."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

        ask = self._ray.remote(num_cpus=0, max_retries=_RETRIES)(_asking())
        here, there = _asking()(), {}
        for node in self._nodes():
            there[node["NodeManagerAddress"]] = ask.options(scheduling_strategy=On(node["NodeID"], soft=False)).remote()
        for address, answer in there.items():
            if (found := self._ray.get(answer)) != here:
                raise BoxwiseError(f"node {address} of the cluster has {found}, this machine has {here}: install the same on all nodes.")

    def _nodes(self) -> list[Any]:
        return [node for node in self._ray.nodes() if node["Alive"]]


@contextmanager
def ray_cluster(address: str | None) -> Iterator[Cluster]:
    """The cluster at `address` ("HOST:PORT"), or one of this machine's processors, while the block runs; its tasks end with it.

    Raises BoxwiseError where Ray is not installed, nothing answers, or a node has another boxwise or torch.
    """
    try:
        for name, value in (_QUIET | ({} if address is None else _QUIET_ELSEWHERE)).items():  # Ray reads them as it is imported
            os.environ.setdefault(name, value)
        import ray
    except ImportError:
        raise BoxwiseError("--on ray needs the package ray: pip install 'boxwise[ray]'.") from None
    if address is not None:
        _check_answers(address)
    own: dict[str, Any] = {"object_store_memory": _OBJECTS, "include_dashboard": False} if address is None else {}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # of all kinds
        token = f" {_TOKEN}" if address else ""
        raise BoxwiseError(f"--on ray{f'={address}' if address else ''}: no cluster to work on: {_in_one_line(error)}.{token}") from error
    try:
        cluster = Cluster(ray)
        cluster.check_versions()
        yield cluster
    finally:
        ray.shutdown()


class _Tasks:
    """Each function as a task with the resources that `needs` names."""

    def __init__(self, ray: Any, count: int, needs: dict[str, int]) -> None:
        from ray.util.queue import Queue

        self.count, self._errors = count, ray.exceptions.RayError
        self.queue = Queue(actor_options={"num_cpus": 0})
        self._task = ray.remote(max_retries=_RETRIES, **needs)(_call)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        local: Future[Any] = Future()
        self._task.remote(str(Path.cwd()), function, *arguments).future().add_done_callback(lambda remote: self._settle(local, remote))
        return local

    def _settle(self, local: Future[Any], remote: Future[Any]) -> None:
        error = remote.exception()
        if error is None:
            local.set_result(remote.result())
        elif isinstance(cause := getattr(error, "cause", None), BoxwiseError):
            cause.args = (f"on a node of the cluster: {cause}",)  # whose environment and files may be others than here
            local.set_exception(cause)
        elif cause is None and isinstance(error, self._errors):
            local.set_exception(BoxwiseError(f"a worker of the cluster failed: {_in_one_line(error)} {_KEPT}"))
        else:
            local.set_exception(error)


def _call(folder: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """In a worker: with the paths of the process that sent it."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise BoxwiseError(f"{folder}: cannot be worked in ({error.strerror}). {_PATHS}") from None
    return function(*arguments)


def _asking() -> Callable[[], str]:
    """What asks a node for its versions: a function within a function, which Ray sends whole, so that a node needs no boxwise to run it."""

    def versions() -> str:
        from importlib.metadata import version

        try:
            import boxwise  # the node's

            return f"boxwise {boxwise.__version__} and torch {version('torch')}"
        except ImportError as error:
            return f"no {error.name}"

    return versions


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _check_answers(address: str) -> None:
    """Ray itself waits for minutes where nothing answers."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise BoxwiseError(f"--on ray={address}: nothing answers there ({reason}). Is `ray start --head` running?") from None

"""The page's server: a socket, uvicorn in a thread of this process, and the link that opens it.

Knows addresses. Knows nothing of studies, routes or how the work goes on.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from time import sleep
from urllib.parse import urlencode, urlsplit

import idna
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from boxwise.errors import BoxwiseError

PORT = 8123
HEAD_SECONDS = 15.0  # within which a request's head must be there on an open connection
_PORTS_TRIED = 100
_POLL_SECONDS = 0.5
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_EVERYWHERE = ("0.0.0.0", "::")
_HOST = re.compile(r"(?!(.*\.)?\d+$)[a-z0-9_.-]+|\d+(\.\d+){3}|[0-9a-f:.]*:[0-9a-f:.]*")  # a name, an address of either kind
_PORTS = {"http": 80, "https": 443}  # that browsers leave out


@dataclass(frozen=True)
class Address:
    """Where the page is served: a bound socket, the token it asks for, if any, and the addresses that people open, where these are others.

    urls: such as https://labels.example.com, without a slash at the end.
    """

    socket: socket.socket
    host: str
    token: str | None
    urls: tuple[str, ...] = ()

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)

    @property
    def hosts(self) -> set[str]:
        """The names that a Host header may have; an IPv6 address is in brackets."""
        names = {*_LOOPBACK, _bracketed(_spelled(self.host)), *(_bracketed(urlsplit(url).hostname or "") for url in self.urls)}
        return names if self.loopback else names | {_bracketed(name) for name in _own_names()}

    @property
    def link(self) -> str:
        """What to open in the browser, token included."""
        host = _outward_address() if self.host in _EVERYWHERE else self.host
        base = self.urls[0] if self.urls else f"http://{_bracketed(host)}:{self.port}"
        return f"{base}/" + (f"?{urlencode({'token': self.token})}" if self.token else "")


def listen(host: str = "127.0.0.1", port: int | None = None, *, token: str | None = None, urls: Sequence[str] = ()) -> Address:
    """Bind `host`: to `port`, to any free one for 0, or by default to the first free one from `PORT` on.

    urls: the addresses under which people reach it, by another name or through a proxy. Where others reach it, by these or beyond loopback,
    a random token is made if none is given. Raises BoxwiseError when the address or port cannot be had, or a URL is none.
    """
    known = tuple(_public(url) for url in urls)
    ports = range(PORT, PORT + _PORTS_TRIED) if port is None else [port]
    fault: OSError | None = None
    for candidate in ports:
        try:
            bound = _bind(host, candidate)
        except socket.gaierror as error:
            raise BoxwiseError(f"--host {host}: no such address on this machine ({error.strerror}).") from None
        except OSError as error:
            fault = error
            continue
        mine = is_loopback(host) and not known
        return Address(bound, host, token or (None if mine else secrets.token_urlsafe(24)), known)
    raise BoxwiseError(f"{host}:{ports[0]} cannot be served ({fault.strerror if fault else ''}). Give another --host or --port.")


class Server:
    """Serves an application while the block runs; leaving it ends what is under way within seconds. Use as a context manager."""

    def __init__(self, app: FastAPI, address: Address) -> None:
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, lifespan="off", ws="none", proxy_headers=False,
            timeout_graceful_shutdown=3, http=_Impatient,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, args=([address.socket],), daemon=True, name="boxwise-page")

    def __enter__(self) -> Server:
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise BoxwiseError("the page's server did not start; its own message is above.")
            sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    def wait(self, stop: Event, watch: Callable[[], None] = lambda: None) -> None:
        """Until `stop` is set, or the server ends, which by itself it does not; Ctrl-C gets through. watch: called now and then."""
        while self._thread.is_alive() and not stop.wait(_POLL_SECONDS):
            watch()


class _Impatient(H11Protocol):
    """Ends connections on which nothing is asked: opened and left, or with a head that never ends; uvicorn would keep them for good."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def on_response_complete(self) -> None:
        self._wait_for_head()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        asked = self.cycle is not None and not self.cycle.response_complete
        if not asked and not self.transport.is_closing():
            self.transport.close()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _public(url: str) -> str:
    """An address that people open, as browsers name its origin. Raises BoxwiseError for what is none."""
    try:
        found = urlsplit(url)
        host, port = _spelled(found.hostname or ""), found.port
    except ValueError:  # brackets that do not close, a port that is no number
        found, host, port = urlsplit(""), "", None
    more = found.path.removeprefix("/") or found.query or found.fragment or "@" in found.netloc
    if found.scheme not in _PORTS or not _HOST.fullmatch(host) or more:
        raise BoxwiseError(f"--url {url}: expected an address such as https://labels.example.com/ or http://labels.example.com:8123/.")
    return f"{found.scheme}://{_bracketed(host)}" + (f":{port}" if port not in (None, _PORTS[found.scheme]) else "")


def _spelled(host: str) -> str:
    """A name or an address as browsers spell it in what they ask: in ASCII, and as short as can be."""
    try:
        return ipaddress.ip_address(host).compressed
    except ValueError:
        pass
    try:
        return host.lower() if host.isascii() else idna.encode(host, uts46=True).decode()
    except idna.IDNAError:  # letters that no name may have
        return host


def _bind(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    bound = socket.create_server(address[:2], family=family)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it; without it each reply waits 40 ms
    return bound


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _own_names() -> set[str]:
    """The names and addresses under which others may know this machine."""
    name = socket.gethostname()
    names = {name, socket.getfqdn(), f"{name}.local", _outward_address()}
    with suppress(socket.gaierror):  # a machine whose own name does not resolve
        names |= {str(found[4][0]).partition("%")[0] for found in socket.getaddrinfo(name, None)}
    return {name.lower() for name in names}


def _outward_address() -> str:
    """The address that this machine uses towards others; connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # kept for documentation (RFC 5737): no machine has it
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])

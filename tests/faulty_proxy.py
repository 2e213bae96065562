"""An HTTP proxy before a server on loopback that answers some requests with faults, and counts what it has handed on whole.

Returns its address; tests set `fault` to a function of (method, path, number of such requests before) that names one of FAULTS, an
answer of HTTP by its number, or None.
"""

import http.client
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import quote, urlsplit

FAULTS = ("error", "forbidden", "slow", "cut", "refused")
_FORBIDDEN = b"<?xml version='1.0'?><Error><Code>InvalidAccessKeyId</Code><Message>no such key</Message></Error>"


class FaultyProxy:
    """asked: (method, path) → requests. served: (method, path) → whole answers that were no error. slowness: seconds of a slow answer."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.fault: Callable[[str, str, int], str | int | None] = lambda method, path, before: None
        self.slowness = 2.0
        self.asked: Counter = Counter()
        self.served: Counter = Counter()
        self._lock = Lock()

    def begin(self, method: str, path: str) -> str | int | None:
        with self._lock:
            before = self.asked[method, path]
            self.asked[method, path] += 1
        return self.fault(method, path, before)

    def calm(self) -> None:
        """No faults and nothing counted."""
        self.fault = lambda method, path, before: None
        self.asked.clear()
        self.served.clear()

    def images(self, method: str = "GET") -> dict[str, int]:
        """Path of an image → how often it was handed on whole."""
        return {path: count for (asked, path), count in self.served.items() if asked == method and path.endswith((".jpg", ".png"))}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy

    def answer(self) -> None:
        path = urlsplit(self.path).path
        fault = self.proxy.begin(self.command, path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if fault == "refused":
            self.close_connection = True
            return
        if isinstance(fault, int):
            self._send(fault, {}, b"")
            return
        if fault in ("error", "forbidden"):
            self._send(500 if fault == "error" else 403, {}, b"" if fault == "error" else _FORBIDDEN)
            return
        if fault == "slow":
            time.sleep(self.proxy.slowness)
        connection = http.client.HTTPConnection(self.proxy.target.netloc, timeout=30)
        connection.request(self.command, self.path, body, dict(self.headers))
        got = connection.getresponse()
        content = got.read()
        if fault == "cut":
            self._send(got.status, dict(got.getheaders()), content, cut=len(content) // 2)
            return
        self._send(got.status, dict(got.getheaders()), content)
        if got.status < 300:
            with self.proxy._lock:
                self.proxy.served[self.command, path] += 1

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - as http.server calls them

    def _send(self, status: int, headers: dict[str, str], content: bytes, *, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                self.send_header(name, value)
        size = headers.get("Content-Length") or headers.get("content-length") if self.command == "HEAD" else None
        self.send_header("content-length", size or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def faulty_proxy(target: str) -> Iterator[tuple[FaultyProxy, str]]:
    """(the proxy, its address) while the block runs."""
    proxy = FaultyProxy(target)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield proxy, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class Bucket:
    """The bucket `photos` of the server behind a proxy, which is written to without the proxy."""

    def __init__(self, proxy: FaultyProxy) -> None:
        self.proxy = proxy
        self._send("POST", "/moto-api/reset")
        self._send("PUT", "/photos")
        proxy.calm()

    def put(self, key: str, content: bytes) -> str:
        """Store an object and return its address."""
        self._send("PUT", f"/photos/{quote(key)}", content)
        return f"s3://photos/{key}"

    def remove(self, key: str) -> None:
        """Take an object out."""
        self._send("DELETE", f"/photos/{quote(key)}")

    def _send(self, method: str, path: str, content: bytes = b"") -> None:
        connection = http.client.HTTPConnection(self.proxy.target.netloc, timeout=30)
        connection.request(method, path, content, {"authorization": "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request"})
        answer = connection.getresponse()
        assert answer.status < 300, (method, path, answer.status, answer.read())
        connection.close()

"""What every request must pass: the right host, a token where one is asked for, the right origin, a small body.

Also sets the headers of every reply. A plain ASGI middleware. Knows nothing of studies or routes.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "boxwise_token"
MOST_BYTES = 2**20
_CHANGES = {"POST", "PUT", "PATCH", "DELETE"}
_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Lets a request through, or answers it with the reason why not.

    hosts: the names a Host header may have, without port; another name is a page elsewhere that rebinds its DNS. token: asked for as a
    cookie, as a Bearer, or once in the link, which then sets the cookie; None: nobody asks, as on loopback.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], token: str | None = None) -> None:
        self.app, self.hosts, self.token = app, set(hosts), token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        reply = self._refusal(scope)
        if reply is not None:
            await reply(scope, receive, _with_headers(send))
        else:
            await _Limited(self.app)(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _name(host) not in self.hosts:
            return _refused(400, f"host {host!r} is not one this page is served under; expected {', '.join(sorted(self.hosts))}")
        if self.token is not None and not self._knows_token(headers):
            return self._entrance(scope) or _refused(
                401, "open the page with the link that `boxwise label` printed: its token is missing or wrong"
            )
        if scope["method"] in _CHANGES:
            return _unsafe(scope, headers, host)
        return None

    def _knows_token(self, headers: Headers) -> bool:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        given = cookie.value if cookie else headers.get("authorization", "").removeprefix("Bearer ")
        return self._right(given)

    def _right(self, given: str) -> bool:
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())

    def _entrance(self, scope: Scope) -> Response | None:
        """The link with the token: set the cookie and go on to the clean address, so that the token stays in no history."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["method"] != "GET" or not self._right(dict(query).get("token", "")):
            return None
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # A path such as //elsewhere would be read as another host.
        reply = RedirectResponse("/" + scope["path"].lstrip("/\\") + (f"?{rest}" if rest else ""), status_code=303)
        reply.set_cookie(COOKIE, self.token or "", httponly=True, samesite="strict")
        return reply


def _unsafe(scope: Scope, headers: Headers, host: str) -> Response | None:
    """Why a changing request is refused: another site's form or script, or a body that is too large."""
    if headers.get("content-type", "").split(";")[0].strip() != "application/json":
        return _refused(415, f"expected content type application/json, found {headers.get('content-type', 'none')!r}")
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if (origin is not None and urlsplit(origin).netloc != host) or site not in (None, "same-origin", "none"):
        return _refused(403, "this request comes from another site")
    if headers.get("content-length", "0").isdigit() and int(headers.get("content-length", "0")) > MOST_BYTES:
        return _too_large()
    return None


class _Limited:
    """Cuts off a body that is larger than it said, or that did not say."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", scope["method"] in _CHANGES
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False) and message["type"] == "http.request"
            if len(body) > MOST_BYTES:
                await _too_large()(scope, receive, send)
                return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given or scope["method"] not in _CHANGES:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)


def _too_large() -> Response:
    return _refused(413, f"the request is larger than {MOST_BYTES:,} bytes")


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status_code=status)


def _name(host: str) -> str:
    """The Host header without its port; an IPv6 address keeps its brackets."""
    return host.rsplit(":", 1)[0] if not host.endswith("]") and ":" in host else host


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending

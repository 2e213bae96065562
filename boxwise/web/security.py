"""What every request must pass: the right host, a token where one is asked for, the right origin, a small body that comes in time.

Also sets the headers of every reply. A plain ASGI middleware. Knows nothing of studies or routes.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Collection
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from boxwise.errors import UnreachableError
from boxwise.store import Member
from boxwise.web.reasons import Reason

MOST_BYTES = 2**20
BODY_SECONDS = 30.0  # within which a request's body must be there
_CHANGES = {"POST", "PUT", "PATCH", "DELETE"}
_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_ENTRANCE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>boxwise</title></head>
<body><main>
<h1>Open this page with its link</h1>
<p>The link that <code>boxwise label</code> printed holds a token. It is missing here, or it is of an earlier start of the server.
A link of your own may have expired, or was revoked.
Ask whoever runs the study for the present link. What you have labelled is kept in this browser, and sent when you are back.</p>
<p lang="de">Diese Seite öffnet sich nur mit ihrem Link, den <code>boxwise label</code> ausgibt.</p>
<p lang="zh">请使用 <code>boxwise label</code> 显示的链接打开此页面。</p>
<p lang="es">Abra esta página con el enlace que muestra <code>boxwise label</code>.</p>
<form action="/" method="get"><label>Token <input name="token" autocomplete="off" required></label> <button>Open</button></form>
</main></body></html>
"""
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


PROBES = ("/healthz", "/readyz")
API = "/api/"  # what pages ask for, which nobody opens by a link


class Guard:
    """Lets a request through, or answers it with the reason why not.

    hosts: the names a Host header may have, without port; another name is a page elsewhere that rebinds its DNS. origins: of the addresses
    that people open, where a proxy asks under another name. token: asked for as a cookie, as a Bearer, or once in the link, which then sets
    the cookie; None: not required, as on loopback. member_of: whose personal link a token is of; such a link opens the page as the token
    does, and `scope["member"]` says who came by it. study: names that link's cookie. Links are to pages: what is asked of `API` may have
    parameters of any name.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str],
        token: str | None,
        member_of: Callable[[str], Member | None],
        study: str,
        origins: Collection[str] = (),
    ) -> None:
        self.app, self.hosts, self.origins, self.token, self.member_of = app, set(hosts), set(origins), token, member_of
        self.own_cookie = cookie_name(f"person of {study}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        reply = None
        if not _is_probe(scope):
            try:
                reply = _rebound(headers, self.hosts) or await self._stranger(scope) or _unfit(scope["method"], headers, self.origins)
            except UnreachableError as error:  # whose link it is cannot be known now
                reply = _refused(503, Reason("mistake", error))
        if reply is not None:
            await reply(scope, receive, _with_headers(send))
        else:
            await _Limited(self.app)(scope, receive, _with_headers(send))

    async def _stranger(self, scope: Scope) -> Response | None:
        """None for whoever may come in, with `scope["member"]` set; else the way in, or why there is none."""
        headers, scope["member"] = Headers(scope=scope), None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query) if scope["method"] == "GET" and not scope["path"].startswith(API) else {}
        if self._right(given.get("token", "")):
            return self._entrance(scope, query, {cookie_name(self.token or ""): self.token, self.own_cookie: None})
        if "person" in given:
            known = await run_in_threadpool(self.member_of, given["person"])
            return self._entrance(scope, query, {self.own_cookie: given["person"]}) if known else _unknown(scope, headers)
        own = _cookie(headers, self.own_cookie)
        if own:  # it counts also where the shared token is known: who came by a link of their own is that person
            scope["member"] = await run_in_threadpool(self.member_of, own)
        return None if scope["member"] or self._knows_token(headers) else _unknown(scope, headers)

    def _knows_token(self, headers: Headers) -> bool:
        if self.token is None:
            return True
        return self._right(_cookie(headers, cookie_name(self.token)) or headers.get("authorization", "").removeprefix("Bearer "))

    def _right(self, given: str) -> bool:
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())

    def _entrance(self, scope: Scope, query: list[tuple[str, str]], cookies: dict[str, str | None]) -> Response:
        """A link with a token: set the cookie and go on to the clean address, so that the token stays in no history."""
        rest = urlencode([(name, value) for name, value in query if name not in ("token", "person")])
        # A path such as //elsewhere would be read as another host.
        reply = RedirectResponse("/" + scope["path"].lstrip("/\\") + (f"?{rest}" if rest else ""), status_code=303)
        # Lax: a link in a mail or a chat comes from another site, and the cookie must be sent already with the page it leads to.
        # What changes anything is guarded by its origin and content type.
        for name, value in cookies.items():
            if value is None:
                reply.delete_cookie(name)
            else:
                reply.set_cookie(name, value, httponly=True, samesite="lax")
        return reply


def _is_probe(scope: Scope) -> bool:
    """Probes come by address, without a token, and are told nothing of the study."""
    return scope["path"] in PROBES and scope["method"] == "GET" and Headers(scope=scope).get("content-length", "0") == "0"


def _cookie(headers: Headers, name: str) -> str:
    """A cookie's value, empty where there is none; what other programs of the host have left beside it may have any form."""
    return cookie_parser("; ".join(headers.getlist("cookie"))).get(name, "")


def cookie_name(token: str) -> str:
    """The cookie's name, of each token another one: browsers share cookies between all ports of a host, so between two studies on it."""
    return f"boxwise_{hashlib.sha256(token.encode()).hexdigest()[:8]}"


def _unknown(scope: Scope, headers: Headers) -> Response:
    """To whom has no token: a page for people, a sentence for programs."""
    if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
        return HTMLResponse(_ENTRANCE, status_code=401)
    return _refused(401, Reason("token"))


class OwnSite:
    """For an application without pages that asks for no password: lets nothing through that a page elsewhere had a browser send.

    hosts: as for `Guard`.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str]) -> None:
        self.app, self.hosts = app, set(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = None
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            reply = _rebound(headers, self.hosts) or (_of_another_site(headers) if scope["method"] in _CHANGES else None)
        await (reply or self.app)(scope, receive, send)


def _rebound(headers: Headers, hosts: Collection[str]) -> Response | None:
    """Why a request is refused whose Host is none of `hosts`."""
    host = headers.get("host", "")
    if _name(host).lower() in hosts:
        return None
    return _refused(400, Reason("wrong_host", repr(host), ", ".join(sorted(hosts))))


def _unfit(method: str, headers: Headers, origins: Collection[str]) -> Response | None:
    """Why a request is refused whoever it comes from."""
    if method in _CHANGES:
        return _of_another_site(headers, origins) or _announced_too_large(headers)
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        return _refused(400, Reason("body_unwanted", method), close=True)
    return None


def _of_another_site(headers: Headers, origins: Collection[str] = ()) -> Response | None:
    """Why a changing request is refused: another site's form or script. origins: that are this one's, beside the request's own host."""
    if headers.get("content-type", "").split(";")[0].strip() != "application/json":
        return _refused(415, Reason("content_type", repr(headers.get("content-type", "none"))))
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    own = origin is None or origin in origins or urlsplit(origin).netloc == headers.get("host", "")
    return None if own and site in (None, "same-origin", "none") else _refused(403, Reason("other_site"))


def _announced_too_large(headers: Headers) -> Response | None:
    if headers.get("content-length", "0").isdigit() and int(headers.get("content-length", "0")) > MOST_BYTES:
        return _too_large()
    return None


class _Limited:
    """Cuts off a body that is larger than it said, or that did not say, or that does not come."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in _CHANGES:
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _whole(receive)
        except TimeoutError:
            await _refused(408, Reason("body_late", f"{BODY_SECONDS:.0f}"), close=True)(scope, receive, send)
            return
        if body is None:
            return  # whoever sent it is gone
        if len(body) > MOST_BYTES:
            await _too_large()(scope, receive, send)
            return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)


async def _whole(receive: Receive) -> bytes | None:
    """The body, or as much of it as shows that it is too large; None when the connection ended before it was whole."""
    body, more = b"", True
    while more and len(body) <= MOST_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _too_large() -> Response:
    return _refused(413, Reason("too_large", f"{MOST_BYTES:,}"), close=True)


def _refused(status: int, why: Reason, *, close: bool = False) -> Response:
    """close: end the connection, since what is still on its way is not wanted."""
    return JSONResponse(why.to_json(), status_code=status, headers={"connection": "close"} if close else None)


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

"""Label Studio's REST API, the few calls that a study needs, over httpx.

Returns the server's replies as plain JSON values. Every failure becomes a LabelStudioError; no message contains a token.
Knows nothing of studies, boxes or percentages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from boxwise.errors import BoxwiseError

PAGE = 100  # tasks a request
_JWT_PARTS = 3  # a personal access token is a JSON Web Token: three parts between dots; a legacy token is one of hexadecimal digits
_HOW_TO_TOKEN = "Copy one from Label Studio's Account & Settings; a legacy token only where the organization allows them."


class LabelStudioError(BoxwiseError):
    """The server cannot be reached, is none, refuses the token or refuses a call."""


class Client:
    """A Label Studio server, seen by the person whose token it is. Use as a context manager.

    Tested with 1.23.2. `token` is a personal access token, which buys access tokens of five minutes as they are needed, or a legacy one.
    """

    def __init__(self, url: str, token: str, *, timeout: float = 60.0) -> None:
        self.url = re.sub(r"(/projects(/.*)?|/+)$", "", url.strip())  # also as copied from the browser: http://host/projects/5/data
        self._token = token.strip()
        if not self.url.startswith(("http://", "https://")):
            raise LabelStudioError(f"{url!r}: expected a URL such as http://localhost:8080.")
        if not self._token or not self._token.isascii():
            found = "another text" if self._token else "none"
            raise LabelStudioError(f"{self.url}: expected a token, found {found}. {_HOW_TO_TOKEN}")
        self._http = httpx.Client(timeout=timeout)
        self._authorization = "" if self._token.count(".") == _JWT_PARTS - 1 else f"Token {self._token}"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def version(self) -> str:
        """The server's release, such as '1.23.2'. Raises LabelStudioError when something else answers, or one older than 1.0."""
        found = self._json(self._send("GET", "/api/version", authorized=False), "/api/version")
        release = found.get("release") or found.get("label-studio-os-package", {}).get("version") if isinstance(found, dict) else None
        if not isinstance(release, str):
            raise LabelStudioError(f"{self.url}: expected a Label Studio server, found one that states no release.")
        if release.split(".")[0] in ("", "0"):
            raise LabelStudioError(f"{self.url}: expected Label Studio 1.0 or later, found {release}.")
        return release

    def project(self, number: int) -> dict[str, Any] | None:
        """A project, or None when there is none of that number."""
        response = self._send("GET", f"/api/projects/{number}/", allowed=(404,))
        return None if response.status_code == 404 else self._json(response, "project")

    def projects(self, title: str) -> Iterator[dict[str, Any]]:
        """The projects whose title contains `title`."""
        yield from self._pages("/api/projects/", {"title": title}, "results", "count")

    def create_project(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return self._call("POST", "/api/projects/", json=dict(values))

    def change_project(self, number: int, values: Mapping[str, Any]) -> dict[str, Any]:
        return self._call("PATCH", f"/api/projects/{number}/", json=dict(values))

    def upload(self, project: int, files: Sequence[tuple[str, bytes]]) -> list[str]:
        """Store (name, content) files with the project without making tasks of them; their paths on the server, in order."""
        parts = {str(row): file for row, file in enumerate(files)}
        made = self._call("POST", f"/api/projects/{project}/import", params={"commit_to_project": "false"}, files=parts)
        numbers = made.get("file_upload_ids", [])
        if len(numbers) != len(files):
            raise LabelStudioError(f"{self.url}: expected {len(files)} uploads to be kept, found {len(numbers)}.")
        return [f"/data/{self._call('GET', f'/api/import/file-upload/{number}')['file']}" for number in numbers]

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        self._call("POST", f"/api/projects/{project}/import", json=list(tasks))

    def tasks(self, project: int) -> Iterator[dict[str, Any]]:
        """Every task of a project with its annotations, predictions and drafts."""
        yield from self._pages("/api/tasks/", {"project": project, "fields": "all"}, "tasks", "total")

    def task(self, number: int) -> dict[str, Any] | None:
        """One task with its annotations, predictions and drafts, or None when there is none of that number."""
        response = self._send("GET", f"/api/tasks/{number}/", allowed=(404,))
        return None if response.status_code == 404 else self._json(response, "task")

    def delete_task(self, number: int) -> None:
        self._send("DELETE", f"/api/tasks/{number}/", allowed=(404,))

    def people(self) -> dict[int, str]:
        """User number → email address; none where the token may not see them."""
        response = self._send("GET", "/api/users/", allowed=(403, 404))
        users = self._json(response, "list of users") if response.is_success else ()
        return {user["id"]: user["email"] for user in users if user.get("email")}

    def _pages(self, path: str, params: Mapping[str, Any], rows: str, total: str) -> Iterator[dict[str, Any]]:
        page, seen = 1, 0
        while True:
            found = self._call("GET", path, params={**params, "page": page, "page_size": PAGE})
            yield from found[rows]
            page, seen = page + 1, seen + len(found[rows])
            if seen >= found[total] or not found[rows]:
                return

    def _call(self, method: str, path: str, **parts: Any) -> Any:
        return self._json(self._send(method, path, **parts), path)

    def _json(self, response: httpx.Response, what: str) -> Any:
        try:
            return response.json()
        except ValueError:
            raise LabelStudioError(f"{self.url}: expected a Label Studio server, found one whose {what} is not JSON.") from None

    def _send(self, method: str, path: str, *, authorized: bool = True, allowed: Sequence[int] = (), **parts: Any) -> httpx.Response:
        """One request; again with fresh access when that of a personal access token has run out."""
        if authorized and not self._authorization:
            self._refresh()
        response = self._once(method, path, authorized, parts)
        if response.status_code == 401 and authorized and self._authorization.startswith("Bearer"):
            self._refresh()
            response = self._once(method, path, authorized, parts)
        if response.is_success or response.status_code in allowed:
            return response
        raise LabelStudioError(self._refusal(response, f"{method} {path}"))

    def _once(self, method: str, path: str, authorized: bool, parts: Mapping[str, Any]) -> httpx.Response:
        headers = {"Authorization": self._authorization} if authorized else {}
        try:
            return self._http.request(method, f"{self.url}{path}", headers=headers, **parts)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise LabelStudioError(f"{self.url}: no Label Studio answers here ({error or type(error).__name__}).") from None

    def _refresh(self) -> None:
        """Buy five minutes of access with the personal access token."""
        response = self._once("POST", "/api/token/refresh/", False, {"json": {"refresh": self._token}})
        if not response.is_success:
            raise LabelStudioError(self._refusal(response, "POST /api/token/refresh/"))
        self._authorization = f"Bearer {self._json(response, 'access token')['access']}"

    def _refusal(self, response: httpx.Response, call: str) -> str:
        status, message = response.status_code, _message(response)
        if status in (401, 403):
            return f"{self.url}: refuses the token (HTTP {status}{message}). {_HOW_TO_TOKEN}"
        if response.is_redirect:
            return f"{self.url}: sends on to {response.headers.get('location')}. Give the URL that it ends up with."
        if status == 404:
            return f"{self.url}: knows no {call} (HTTP 404{message}). Expected the URL of a Label Studio server."
        return f"{self.url}: {call} failed with HTTP {status}{message}."


def _message(response: httpx.Response) -> str:
    """The server's own words, if it has any that are for people."""
    try:
        body = response.json()
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    return "".join(f": {body[key]}" for key in ("detail", "validation_errors") if body.get(key))

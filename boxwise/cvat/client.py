"""CVAT's REST API, the few calls that a study needs, over httpx.

Returns the server's replies as plain JSON values. Every failure becomes a CvatError; no message contains a token. Knows nothing of
studies or boxes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from time import monotonic, sleep
from typing import Any

import httpx

from boxwise.errors import BoxwiseError

PAGE = 100  # rows a request
_LEGACY_TOKEN = re.compile(r"[0-9a-f]{40}")  # what CVAT's login gives; a personal access token looks otherwise
_ACCEPT = "application/vnd.cvat+json, application/json"
_HOW_TO_TOKEN = "Make a personal access token in CVAT's account settings, or take the key that POST /api/auth/login answers with."


class CvatError(BoxwiseError):
    """The server cannot be reached, is none, refuses the token or refuses a call."""


class Client:
    """A CVAT server, seen by the person whose token it is. Use as a context manager.

    Written from the documentation of CVAT 2's API. timeout: seconds of one request; patience: until the server has read uploaded images.
    """

    def __init__(self, url: str, token: str, *, timeout: float = 60.0, patience: float = 600.0) -> None:
        self.url = re.sub(r"(/(tasks|projects|jobs)(/.*)?|/+)$", "", url.strip())  # also as copied from the browser
        if not self.url.startswith(("http://", "https://")):
            raise CvatError(f"{url!r}: expected a URL such as http://localhost:8080.")
        if not (token := token.strip()) or not token.isascii():
            raise CvatError(f"{self.url}: expected a token, found {'another text' if token else 'none'}. {_HOW_TO_TOKEN}")
        kind = "Token" if _LEGACY_TOKEN.fullmatch(token) else "Bearer"
        self._http = httpx.Client(timeout=timeout, headers={"Authorization": f"{kind} {token}", "Accept": _ACCEPT})
        self._patience = patience

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def version(self) -> str:
        """The server's version, such as '2.40.1'. Raises CvatError when something else answers, or one older than 2."""
        found = self._call("GET", "/api/server/about")
        version = found.get("version") if isinstance(found, dict) else None
        if not isinstance(version, str):
            raise CvatError(f"{self.url}: expected a CVAT server, found one that states no version.")
        if version.split(".")[0] in ("0", "1"):
            raise CvatError(f"{self.url}: expected CVAT 2 or later, found {version}.")
        return version

    def task(self, number: int) -> dict[str, Any] | None:
        """A task, or None when there is none of that number."""
        response = self._send("GET", f"/api/tasks/{number}", allowed=(404,))
        return None if response.status_code == 404 else self._json(response, "task")

    def tasks(self, name: str) -> list[dict[str, Any]]:
        """The tasks of exactly that name."""
        return [task for task in self._pages("/api/tasks", {"name": name}) if task["name"] == name]

    def create_task(self, name: str, labels: Sequence[Mapping[str, Any]], *, segment: int) -> dict[str, Any]:
        """A task without images yet. segment: images a job."""
        return self._call("POST", "/api/tasks", json={"name": name, "labels": list(labels), "segment_size": segment, "overlap": 0})

    def delete_task(self, number: int) -> None:
        self._send("DELETE", f"/api/tasks/{number}", allowed=(404,))

    def upload(self, task: int, files: Sequence[tuple[str, bytes]]) -> None:
        """Give a task its images, (name, content) in the order of their names, and wait until the server has read them."""
        parts = {f"client_files[{row}]": file for row, file in enumerate(files)}
        fields = {"image_quality": "95", "sorting_method": "lexicographical", "use_cache": "true"}
        begun = self._call("POST", f"/api/tasks/{task}/data", data=fields, files=parts)
        request = begun.get("rq_id") if isinstance(begun, dict) else None
        # Servers before 2.38 have no list of requests, and say so by the task's status.
        path, key = (f"/api/requests/{request}", "status") if request else (f"/api/tasks/{task}/status", "state")
        deadline = monotonic() + self._patience
        while (state := str((found := self._call("GET", path)).get(key, "")).lower()) != "finished":
            if state == "failed":
                raise CvatError(f"{self.url}: could not read the images of task {task}: {found.get('message', '')}")
            if monotonic() > deadline:
                raise CvatError(f"{self.url}: has not read the images of task {task} within {self._patience:.0f} s. Push again later.")
            sleep(0.5)

    def frames(self, task: int) -> list[dict[str, Any]]:
        """name, width and height of each image of a task, in its order."""
        return list(self._call("GET", f"/api/tasks/{task}/data/meta")["frames"])

    def label_ids(self, task: int) -> dict[str, int]:
        """Class name → the number that the server has given it in this task."""
        return {label["name"]: label["id"] for label in self._pages("/api/labels", {"task_id": task})}

    def jobs(self, task: int) -> list[dict[str, Any]]:
        """The jobs of a task: state, stage, start_frame, stop_frame, assignee, updated_date."""
        return list(self._pages("/api/jobs", {"task_id": task}))

    def change_job(self, number: int, values: Mapping[str, Any]) -> None:
        self._call("PATCH", f"/api/jobs/{number}", json=dict(values))

    def raise_issue(self, job: int, message: str, *, frame: int, box: Sequence[float]) -> None:
        """Let a remark be seen on an image of a job. box: xyxy in pixels, where on it."""
        self._call("POST", "/api/issues", json={"job": job, "frame": frame, "position": list(box), "message": message})

    def annotations(self, task: int) -> dict[str, Any]:
        """shapes, tracks and tags of a task."""
        found: dict[str, Any] = self._call("GET", f"/api/tasks/{task}/annotations")
        return found

    def put_annotations(self, task: int, shapes: Sequence[Mapping[str, Any]]) -> None:
        """Make these shapes all that a task has."""
        self._call("PUT", f"/api/tasks/{task}/annotations", json={"version": 0, "tags": [], "shapes": list(shapes), "tracks": []})

    def _pages(self, path: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        page, seen = 1, 0
        while True:
            found = self._call("GET", path, params={**params, "page": page, "page_size": PAGE})
            yield from found["results"]
            page, seen = page + 1, seen + len(found["results"])
            if seen >= found["count"] or not found["results"]:
                return

    def _call(self, method: str, path: str, **parts: Any) -> Any:
        return self._json(self._send(method, path, **parts), path)

    def _json(self, response: httpx.Response, what: str) -> Any:
        try:
            return response.json() if response.content else {}
        except ValueError:
            raise CvatError(f"{self.url}: expected a CVAT server, found one whose {what} is not JSON.") from None

    def _send(self, method: str, path: str, *, allowed: Sequence[int] = (), **parts: Any) -> httpx.Response:
        try:
            response = self._http.request(method, f"{self.url}{path}", **parts)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CvatError(f"{self.url}: no CVAT answers here ({error or type(error).__name__}).") from None
        if response.is_success or response.status_code in allowed:
            return response
        raise CvatError(self._refusal(response, f"{method} {path}"))

    def _refusal(self, response: httpx.Response, call: str) -> str:
        status, said = response.status_code, response.text.strip()[:200]
        if status in (401, 403):
            return f"{self.url}: refuses the token (HTTP {status}: {said}). {_HOW_TO_TOKEN}"
        if response.is_redirect:
            return f"{self.url}: sends on to {response.headers.get('location')}. Give the URL that it ends up with."
        if status == 404:
            return f"{self.url}: knows no {call} (HTTP 404). Expected the URL of a CVAT server."
        return f"{self.url}: {call} failed with HTTP {status}: {said}"

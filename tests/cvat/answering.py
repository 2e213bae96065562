"""A small CVAT over real HTTP: it answers the calls of the API's documentation (CVAT 2), from memory, and is strict about what it is sent.

Written by hand from the documentation, not recorded from a server.
"""

import io
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from PIL import Image

TOKEN = "0123456789abcdef0123456789abcdef01234567"
STAGE = {"stage": "annotation", "type": "annotation"}


class Cvat:
    """What the server holds. person: changes it as a browser would."""

    def __init__(self) -> None:
        self.tasks, self.issues, self.faults, self.uploads, self._next = {}, [], [], 0, 1
        self.breaks_at = ""  # a call, as "PUT annotations", that the server does not survive

    def number(self):
        self._next += 1
        return self._next

    def create(self, body):
        number = self.number()
        labels = {label["name"]: self.number() for label in body["labels"]}
        task = {
            "id": number,
            "name": body["name"],
            "segment": body["segment_size"],
            "labels": labels,
            "frames": [],
            "jobs": [],
            "shapes": [],
            "tracks": [],
        }
        self.tasks[number] = task
        return task

    def receive(self, task, files):
        assert not task["frames"], "a task gets its data once"
        for name, content in sorted(files):
            with Image.open(io.BytesIO(content)) as image:
                task["frames"].append({"name": name, "width": image.width, "height": image.height})
        self.uploads += len(files)
        for start in range(0, len(files), task["segment"]):
            stop = min(start + task["segment"], len(files)) - 1
            job = {"id": self.number(), "start_frame": start, "stop_frame": stop, "state": "new", "assignee": None, **STAGE}
            task["jobs"].append(job)

    def person(self, task_name, frame, boxes, *, who="anna", complete=True, **further):
        """What somebody draws on a frame, all of it; and whether they set its job to completed. who: its assignee; None: it has none."""
        (task,) = [task for task in self.tasks.values() if task_name in task["name"]]
        task["shapes"] = [shape for shape in task["shapes"] if shape["frame"] != frame]
        for name, points in boxes:
            shape = {"id": self.number(), "type": "rectangle", "frame": frame, "label_id": task["labels"][name], "points": points}
            task["shapes"].append(shape | {"rotation": 0, "source": "manual", "attributes": []} | further)
        for job in task["jobs"]:
            if complete and job["start_frame"] <= frame <= job["stop_frame"]:
                job |= {"state": "completed", "assignee": who and {"username": who}}

    def jobs_of(self, task_name):
        return [job for task in self.tasks.values() if task_name in task["name"] for job in task["jobs"]]

    def job(self, number):
        return next(job for task in self.tasks.values() for job in task["jobs"] if job["id"] == number)


@contextmanager
def answering(*, status=None):
    """(URL, the server's state). status: refuse every call with it."""
    cvat = Cvat()

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            if status or self.headers.get("authorization") != f"Token {TOKEN}":
                return self.send(status or 401, {"detail": "Invalid token."})
            place, query = urlsplit(self.path), dict(parse_qsl(urlsplit(self.path).query))
            for pattern, reply in ROUTES.items():
                method, path = pattern.split(" ")
                found = re.fullmatch(path, place.path)
                if method == self.command and found:
                    if cvat.breaks_at and pattern.startswith(cvat.breaks_at.split()[0]) and cvat.breaks_at.split()[1] in path:
                        return self.send(500, {"detail": "broken"})
                    return self.send(*reply(cvat, found.groups(), query, content, self.headers))
            cvat.faults.append(f"{self.command} {self.path}")
            return self.send(404, {"detail": "Not found."})

        def send(self, code, body):
            text = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("content-type", "application/vnd.cvat+json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 the names that http.server calls

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", cvat
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert not cvat.faults


def _page(rows, query):
    size, page = int(query["page_size"]), int(query["page"])
    return 200, {"count": len(rows), "next": None, "previous": None, "results": rows[(page - 1) * size : page * size]}


def _shown(task):
    return {key: task[key] for key in ("id", "name")} | {"size": len(task["frames"]), "segment_size": task["segment"]}


def _task(cvat, parts, *_):
    task = cvat.tasks.get(int(parts[0]))
    return (404, {"detail": "Not found."}) if task is None else (200, _shown(task))


def _create(cvat, _parts, _query, content, _headers):
    return 201, _shown(cvat.create(json.loads(content)))


def _delete(cvat, parts, *_):
    cvat.tasks.pop(int(parts[0]))
    return 200, {}


def _data(cvat, parts, _query, content, headers):
    fields, files = {}, []
    boundary = headers["content-type"].split("boundary=")[1].encode()
    for part in content.split(b"--" + boundary)[1:-1]:
        head, _, body = part.removesuffix(b"\r\n").partition(b"\r\n\r\n")
        name, filename = (
            found and found[1].decode() for found in (re.search(key + rb'="([^"]*)"', head) for key in (rb" name", rb"filename"))
        )
        if filename is None:
            fields[name] = body.decode()
        else:
            files.append((filename, body))
    assert fields["sorting_method"] == "lexicographical" and 0 < int(fields["image_quality"]) <= 100
    cvat.receive(cvat.tasks[int(parts[0])], files)
    return 202, {"rq_id": f"action=create&target=task&id={parts[0]}"}


def _put(cvat, parts, _query, content, _headers):
    body, task = json.loads(content), cvat.tasks[int(parts[0])]
    assert body.keys() == {"version", "tags", "shapes", "tracks"}
    for shape in body["shapes"]:
        assert shape["type"] == "rectangle" and len(shape["points"]) == 4 and 0 <= shape["frame"] < len(task["frames"])
        assert shape["label_id"] in task["labels"].values() and shape["source"] in ("auto", "manual")
    task["shapes"] = [shape | {"id": cvat.number()} for shape in body["shapes"]]
    return 200, body


def _change_job(cvat, parts, _query, content, _headers):
    body, job = json.loads(content), cvat.job(int(parts[0]))
    assert body.keys() <= {"state", "stage", "assignee"} and body["state"] in ("new", "in progress", "completed", "rejected")
    job |= body
    return 200, job


def _issue(cvat, _parts, _query, content, _headers):
    body = json.loads(content)
    job = cvat.job(body["job"])
    assert body.keys() == {"job", "frame", "position", "message"} and len(body["position"]) == 4
    assert job["start_frame"] <= body["frame"] <= job["stop_frame"]
    cvat.issues.append(body)
    return 201, body | {"id": cvat.number()}


def _annotations(cvat, parts, *_):
    task = cvat.tasks[int(parts[0])]
    if not task["frames"]:
        return 400, "Exporting annotations from a task without data is not allowed"
    return 200, {"version": 0, "tags": [], "tracks": task["tracks"], "shapes": task["shapes"]}


ROUTES = {
    r"GET /api/server/about": lambda *_: (200, {"name": "Computer Vision Annotation Tool", "version": "2.40.1"}),
    r"GET /api/tasks/(\d+)": _task,
    r"DELETE /api/tasks/(\d+)": _delete,
    r"POST /api/tasks": _create,
    r"GET /api/tasks": lambda cvat, parts, query, *_: _page([_shown(t) for t in cvat.tasks.values() if query["name"] in t["name"]], query),
    r"POST /api/tasks/(\d+)/data": _data,
    r"GET /api/requests/.+": lambda *_: (200, {"status": "finished", "message": ""}),
    r"GET /api/tasks/(\d+)/data/meta": lambda cvat, parts, *_: (200, {"frames": cvat.tasks[int(parts[0])]["frames"], "deleted_frames": []}),
    r"GET /api/labels": lambda cvat, parts, query, *_: _page(
        [{"name": name, "id": number} for name, number in cvat.tasks[int(query["task_id"])]["labels"].items()], query
    ),
    r"GET /api/jobs": lambda cvat, parts, query, *_: _page(cvat.tasks[int(query["task_id"])]["jobs"], query),
    r"PATCH /api/jobs/(\d+)": _change_job,
    r"POST /api/issues": _issue,
    r"GET /api/tasks/(\d+)/annotations": _annotations,
    r"PUT /api/tasks/(\d+)/annotations": _put,
}

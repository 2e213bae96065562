"""The routes of a study's pictures: whole, reduced, as thumbnails and in tiles."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import Response

from boxwise.data.for_browsers import for_browsers
from boxwise.web.pictures import version
from boxwise.web.state import ThePictures, TheQueue

JPEG = "image/jpeg"

routes = APIRouter()


@routes.get("/images/{image_id:path}")
def whole_picture(image_id: str, request: Request, queue: TheQueue) -> Response:
    uri = queue.record(image_id).uri
    return _cached(request, uri, lambda: for_browsers(uri))


@routes.get("/previews/{image_id:path}")
def preview(image_id: str, request: Request, queue: TheQueue, pictures: ThePictures) -> Response:
    uri = queue.record(image_id).uri
    return _cached(request, uri, lambda: (pictures.preview(uri), JPEG))


@routes.get("/thumbnails/{image_id:path}")
def thumbnail(image_id: str, request: Request, queue: TheQueue, pictures: ThePictures) -> Response:
    uri = queue.record(image_id).uri
    return _cached(request, uri, lambda: (pictures.thumbnail(uri), JPEG))


@routes.get("/tiles/{column}/{row}/{image_id:path}")
def tile(column: int, row: int, image_id: str, request: Request, queue: TheQueue, pictures: ThePictures) -> Response:
    uri = queue.record(image_id).uri
    return _cached(request, uri, lambda: (pictures.tile(uri, column, row), JPEG))


def _cached(request: Request, uri: str, read: Callable[[], tuple[bytes, str]]) -> Response:
    """A picture that the browser keeps, and asks each time whether it still is this one: its address is the same in another study."""
    tag = f'"{version(uri)}"'
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    content, media = read()
    return Response(content, media_type=media, headers=headers)

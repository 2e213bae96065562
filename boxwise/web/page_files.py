"""The page's files, served from memory for as long as they are on the disk as they were read.

Knows HTTP's questions about files. Knows nothing of pages or studies.
"""

from __future__ import annotations

from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

FRESH = {"cache-control": "no-cache"}  # kept, but asked for each time: of two versions some modules would not fit the others


class PageFiles(StaticFiles):
    """The files of a folder. An opening of the page asks for some thirty; to look for each in a thread takes longer than to send it.

    What is not simply one of these files (another method, a range, what came later, what is not there) is left to Starlette.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)  # raises where there is no such folder
        self.config_checked = True  # by that; Starlette would look once more, in a thread
        self._files = {file.name: _File(file) for file in directory.iterdir() if file.is_file()}

    async def get_response(self, path: str, scope: Scope) -> Response:
        asked = Headers(scope=scope)
        if path not in self._files or scope["method"] != "GET" or "range" in asked:
            return await self._by_starlette(path, scope)
        try:
            headers, content = self._files[path].read()
        except OSError:  # deleted
            return await self._by_starlette(path, scope)
        return NotModifiedResponse(headers) if self.is_not_modified(headers, asked) else Response(content, headers=headers)

    async def _by_starlette(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(FRESH)
        return response


class _File:
    def __init__(self, path: Path) -> None:
        self._path, self._read = path, ((0, 0), Headers(), b"")

    def read(self) -> tuple[Headers, bytes]:
        """(headers, content) as they are on the disk."""
        found = self._path.stat()
        stamp = found.st_mtime_ns, found.st_size
        if self._read[0] != stamp:
            content, headers = self._path.read_bytes(), FileResponse(self._path, headers=FRESH, stat_result=found).headers
            headers["content-length"] = str(len(content))  # that of what is read counts
            self._read = stamp, headers, content
        return self._read[1:]

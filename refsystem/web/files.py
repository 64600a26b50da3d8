"""Styles and modules of the pages, as every process serves them that has a page."""

from __future__ import annotations

from fastapi import Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from refsystem.web.pages import STATIC

FRESH = {"Cache-Control": "no-cache"}
"""Kept copies are asked about: a page and its modules belong together."""
SUFFIXES = (".js", ".css")


class PageFiles(StaticFiles):
    """The files of the pages; browsers ask whether their copy is still good."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file, if it is one of a page."""
        if not path.endswith(SUFFIXES):
            return Response(status_code=404)
        answer = await super().get_response(path, scope)
        answer.headers.update(FRESH | {"X-Content-Type-Options": "nosniff"})
        return answer

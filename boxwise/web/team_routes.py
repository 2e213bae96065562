"""The routes of a team: how far its people agree.

Knows HTTP and who may ask; the figures are the study's.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import Depends, FastAPI

from boxwise.study import Study
from boxwise.web.members import leading


def add_team(app: FastAPI, study: Study) -> None:
    """Serve what leads ask for."""

    @app.get("/api/team", dependencies=[Depends(leading)])
    def team() -> dict[str, Any]:
        found = study.agreement()
        return {
            "agreement": asdict(found.every),
            "by_class": [{"name": name} | asdict(one) for name, one in found.by_class.items()],
            "by_pair": [{"name": " – ".join(pair)} | asdict(one) for pair, one in found.by_pair.items()],
        }

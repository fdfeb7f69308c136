"""The connections of this package with their grants (``GET /api/connections``)."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Depends
from fastapi.responses import Response

from oauth_taskflow.taskflow.grants.overview import read_overview
from oauth_taskflow.taskflow.page.access import GetUserDep, may_read_connections
from oauth_taskflow.taskflow.page.visibility import find_visible

router = APIRouter(prefix="/api")


@router.get("/connections", dependencies=[Depends(may_read_connections)])
def list_connections(user: GetUserDep) -> Response:
    """Every connection that the user may see, with its grants. No token endpoint is asked."""
    overview = read_overview()
    visible = find_visible(user, {one.conn_id: one.team for one in overview})
    rows = [one for one in overview if one.conn_id in visible]
    return Response(msgspec.json.encode({"connections": rows}), media_type="application/json")

"""The plain page: the same list without the globals of Airflow's UI, for releases whose globals are other ones."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse

from oauth_taskflow.taskflow.grants.overview import read_overview
from oauth_taskflow.taskflow.page.access import GetUserDep, may_read_connections
from oauth_taskflow.taskflow.page.rendering import render_page
from oauth_taskflow.taskflow.page.visibility import find_visible

router = APIRouter()


@router.get("/", dependencies=[Depends(may_read_connections)])
def show_list(user: GetUserDep) -> HTMLResponse:
    """The list as a page that needs no script."""
    overview = read_overview()
    visible = find_visible(user, {one.conn_id: one.team for one in overview})
    rows = [one for one in overview if one.conn_id in visible]
    return render_page("list.html", connections=rows)

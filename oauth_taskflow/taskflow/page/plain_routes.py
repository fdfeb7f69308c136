"""The plain page: the same list without the globals of Airflow's UI, for releases whose globals are other ones."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse

from oauth_taskflow.iso8601 import instant_text
from oauth_taskflow.taskflow.grants.health import HEALTH
from oauth_taskflow.taskflow.page.access import GetUserDep, may_read_connections
from oauth_taskflow.taskflow.page.rendering import render_page
from oauth_taskflow.taskflow.page.shared_list import read_listing

router = APIRouter()


@router.get("/", dependencies=[Depends(may_read_connections)])
def show_list(user: GetUserDep) -> HTMLResponse:
    """The list as a page that needs no script."""
    return render_page("list.html", listing=read_listing(user), health=HEALTH, when=_format_instant)


def _format_instant(seconds: float | None) -> str:
    return "" if seconds is None else instant_text(seconds)

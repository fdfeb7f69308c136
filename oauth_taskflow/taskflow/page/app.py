"""The FastAPI app below ``/oauth``: its routers, in one tuple."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, Depends, FastAPI
from fastapi.staticfiles import StaticFiles
from sqlalchemy.orm import configure_mappers

from oauth_taskflow.taskflow.grants.overview import read_overview
from oauth_taskflow.taskflow.page import (
    connection_routes,
    consent_routes,
    endpoint_routes,
    plain_forms,
    plain_routes,
    preset_routes,
)
from oauth_taskflow.taskflow.page.access import (
    refuse_foreign_forms,
    refuse_foreign_writes,
    take_turn,
)
from oauth_taskflow.taskflow.page.border import Border
from oauth_taskflow.taskflow.page.failures import HANDLERS
from oauth_taskflow.taskflow.page.form_nulls import keep_nulls_out
from oauth_taskflow.taskflow.page.housekeeping import Housekeeping

# One router per subject. Each route has a permission of ``access.PERMISSIONS``.
ROUTERS: tuple[APIRouter, ...] = (
    connection_routes.router,
    consent_routes.router,
    consent_routes.pages,
    endpoint_routes.router,
    preset_routes.router,
    plain_routes.router,
)
PREPARATION = "oauth-page-preparation"
_STATIC = Path(__file__).parent / "static"
_log = logging.getLogger(__name__)


def build_app() -> FastAPI:
    """A new app with all routers. It publishes no OpenAPI document and no documentation pages: those would need no login."""
    keep_nulls_out()
    app = FastAPI(
        title="OAuth connections",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_live,
        exception_handlers=HANDLERS,
        redirect_slashes=False,  # a callback with a slash at its end would be redirected with its code
    )
    for router in ROUTERS:
        gates = [Depends(refuse_foreign_writes), Depends(take_turn)]
        app.include_router(router, dependencies=gates)
    app.include_router(
        plain_forms.router, dependencies=[Depends(refuse_foreign_forms), Depends(take_turn)]
    )
    app.include_router(consent_routes.parking, dependencies=[Depends(take_turn)])
    app.mount("/static/{version}", StaticFiles(directory=_STATIC), name="static")
    app.add_middleware(Border)
    return app


@asynccontextmanager
async def _live(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001 - a lifespan's signature
    """Begins the work next to requests when a server process starts; Airflow enters the lifespan of each mounted app."""
    threading.Thread(target=_prepare, name=PREPARATION, daemon=True).start()
    housekeeping = Housekeeping()
    housekeeping.begin()
    yield
    housekeeping.end()


def _prepare() -> None:
    """Does the slow work of a process's first list before the first user looks. Nothing is shown or sent.

    Connecting Airflow's ORM classes is half of it; SQLAlchemy does that at the first query of any user otherwise. A
    separate lock makes queries wait for it (https://docs.sqlalchemy.org/en/20/orm/mapping_api.html#sqlalchemy.orm.configure_mappers).
    Then everything is decrypted and parsed once. Python's collector has counted all that as new: its long run comes now.
    """
    try:
        configure_mappers()
        read_overview(is_first=True)
    except Exception as failure:  # noqa: BLE001  # the first list raises it again, in full
        _log.debug("The first list is not prepared: %s", type(failure).__name__)
    gc.collect()

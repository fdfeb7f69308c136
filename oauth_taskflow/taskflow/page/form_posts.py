"""Posts of HTML forms, for the pages without scripts: from this origin alone, with a token of the form, as text by name.

A form can be posted from any site, where JSON needs that site to be allowed first (CORS). So a form carries a token that
only a page of this origin can read, besides the check of ``Sec-Fetch-Site`` or ``Origin`` that JSON has too.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Annotated
from urllib.parse import parse_qsl

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.configuration import conf
from fastapi import Depends, HTTPException, Request

from oauth_taskflow.clock import SYSTEM_CLOCK

__all__ = ["FormFields", "is_of_form", "make_form_token", "read_group"]

TOKEN = "form_token"
_VALID_SECONDS = 12 * 3600
_MOST_FIELDS = 500


async def read_form(request: Request) -> dict[str, str]:
    """The fields of the posted form; of several with one name, the last. Line ends are those of Python.

    Raises:
        HTTPException: 422 for a body that is not a form.
    """
    body = await request.body()
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError:
        raise HTTPException(422, "The body is not a form.") from None
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


FormFields = Annotated[dict[str, str], Depends(read_form)]


def read_group(fields: Mapping[str, str], group: str) -> dict[str, str]:
    """The fields whose names begin with ``group`` and a dot, without that."""
    start = f"{group}."
    return {
        name.removeprefix(start): value for name, value in fields.items() if name.startswith(start)
    }


def make_form_token(user: BaseUser, path: str) -> str:
    """A token for the form at ``path`` of ``user``, valid for twelve hours on every API server of the deployment."""
    issued = str(int(SYSTEM_CLOCK.now()))
    return f"{issued}.{_sign((issued, user.get_id(), path))}"


def is_of_form(token: str, user: BaseUser, path: str) -> bool:
    """Whether ``token`` was made for that form of that user in the last twelve hours."""
    issued, _, signature = token.partition(".")
    if not hmac.compare_digest(signature.encode(), _sign((issued, user.get_id(), path)).encode()):
        return False
    return 0 <= SYSTEM_CLOCK.now() - int(issued) <= _VALID_SECONDS


def _sign(parts: Iterable[str]) -> str:
    key = conf.get_mandatory_value("api", "secret_key").encode()
    text = "\0".join(("oauth-taskflow form", *map(str, parts)))
    return hmac.new(key, text.encode(errors="replace"), hashlib.sha256).hexdigest()

"""Drafts with a value in each key that their form asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

from oauth_taskflow.connections.drafts.draft import Draft
from oauth_taskflow.connections.drafts.form_key import FormKey
from oauth_taskflow.connections.drafts.preset_form import find_preset, list_choices
from oauth_taskflow.connections.drafts.ways import Way, list_ways
from oauth_taskflow.presets.model import Preset
from tests.oauth.keys import new_key, pem_of

SAMPLES: dict[str, str] = {
    "host": "https://api.example.com/v3",
    "login": "client",
    "password": "s3cret-of-client",
    "username": "ada",
    "user_password": "s3cret-of-ada",
    "refresh_token": "rt-seed",
    "assertion": "PHNhbWw+",
    "subject_token": "subject-token",
    "token_url": "https://id.example.com/token",
    "authorize_url": "https://id.example.com/authorize",
    "aws_region": "eu-central-1",
    "aws_service": "execute-api",
}


@cache
def pem() -> str:
    return pem_of(new_key())


def every_way() -> Iterator[tuple[str, str]]:
    """Each provider with each of its ways."""
    for choice in list_choices():
        for way in list_ways(find_preset(choice.name)):
            yield choice.name, way.name


def sample_of(key: FormKey) -> Any:
    if key.name == "private_key":
        return pem()
    return SAMPLES.get(key.name) or (key.choices[0] if key.choices else key.placeholder)


def needed_keys(preset: Preset, way: Way) -> list[str]:
    """The keys to fill: those that the form requires, and one credential of several that would do."""
    needed = [key.name for key in way.keys if key.is_required]
    offered = {key.name for key in way.keys}
    if not preset.token_url and preset.auth_type == "oauth2" and "token_url" in offered:
        needed.append("token_url")
    by_client = {"consent", "application", "refresh_token"}
    if way.name in by_client and not {"password", "private_key"} & {*needed}:
        needed += [name for name in ("password",) if name in offered]
    if way.name == "self_signed_jwt":
        needed.append("private_key")
    return needed


def filled_draft(provider: str, way_name: str, *, without: Collection[str] = ()) -> Draft:
    preset = find_preset(provider)
    way = next(way for way in list_ways(preset) if way.name == way_name)
    keys = {key.name: key for key in way.keys}
    values = {name: sample_of(keys[name]) for name in needed_keys(preset, way)}
    return Draft(
        conn_id="crm",
        provider=provider,
        way=way_name,
        values={name: value for name, value in values.items() if name not in without},
    )

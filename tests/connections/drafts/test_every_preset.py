"""A draft of each provider becomes the connection that the manual describes, with what was typed and nothing else."""

from __future__ import annotations

import json

import msgspec
import pytest

from oauth_taskflow.connections.drafts.draft import Draft, WrongDraft, write_connection
from oauth_taskflow.connections.drafts.preset_form import describe_preset, find_preset
from oauth_taskflow.connections.drafts.stored import describe_stored, rewrite_connection
from oauth_taskflow.connections.drafts.ways import list_ways
from oauth_taskflow.connections.parse import parse_connection
from tests.connections.drafts.filled import every_way, filled_draft, pem
from tests.connections.samples import Connection

pytestmark = pytest.mark.slow  # a thousand cases, which take seconds together

WAYS = sorted(every_way())
GRANTS = {"consent": "authorization_code", "application": "client_credentials"}
# Some APIs take a user name alone; a refresh token may be in the token store.
TOLERATED = {("basic", "password"), ("refresh_token", "refresh_token")}
OTHER_KINDS = ("bearer", "api_key", "basic", "session", "self_signed_jwt", "aws_sigv4", "none")


@pytest.fixture(autouse=True, scope="module")
def one_key() -> None:
    pem()


@pytest.mark.parametrize(("provider", "way"), WAYS)
def test_a_filled_draft_means_what_the_documented_connection_means(provider: str, way: str) -> None:
    draft = filled_draft(provider, way)
    drafted = write_connection(draft)
    values = dict(draft.values)
    fields = {name: values.pop(name) for name in ("host", "login", "password") if name in values}
    named = {"auth_type": way} if way in OTHER_KINDS else {"grant_type": GRANTS.get(way, way)}
    documented = Connection(
        "crm",
        "oauth2",
        extra=json.dumps({**({"provider": provider} if provider else {}), **named, **values}),
        **fields,
    )
    assert parse_connection(drafted) == parse_connection(documented)


@pytest.mark.parametrize(("provider", "way"), WAYS)
def test_a_stored_draft_has_no_null_no_empty_value_and_no_default(provider: str, way: str) -> None:
    extra = json.loads(write_connection(filled_draft(provider, way)).extra)
    preset = find_preset(provider)
    assert not [name for name, value in extra.items() if value in (None, "", {}, [])]
    assert not [
        name for name, variable in preset.variables.items() if extra.get(name) == variable.default
    ]
    assert {*extra} <= {"provider", *filled_draft(provider, way).values} | {
        *next(one for one in list_ways(preset) if one.name == way).writes
    }


@pytest.mark.parametrize(("provider", "way"), WAYS)
def test_each_key_that_is_left_out_although_required_is_named(provider: str, way: str) -> None:
    shown = next(one for one in list_ways(find_preset(provider)) if one.name == way)
    for key in shown.keys:
        if not key.is_required or (way, key.name) in TOLERATED:
            continue
        with pytest.raises(WrongDraft) as caught:
            write_connection(filled_draft(provider, way, without=[key.name]))
        named = {problem.field for problem in caught.value.problems}
        # A missing credential is named by the method that would use it.
        others = {"private_key": "assertion", "refresh_token": "password"}
        assert named & {key.name, others.get(key.name)}, (key.name, caught.value.problems)


@pytest.mark.parametrize(("provider", "way"), WAYS)
def test_a_stored_draft_is_edited_in_the_same_way_and_kept_as_it_is(
    provider: str, way: str
) -> None:
    stored = write_connection(filled_draft(provider, way))
    form = describe_stored(stored)
    assert (form.provider, form.way, form.problem) == (provider, way, "")
    again = Draft(conn_id="crm", provider=form.provider, way=form.way, values=form.values)
    rewritten = rewrite_connection(stored, again, form.hidden)
    assert json.loads(rewritten.extra) == json.loads(stored.extra)
    assert msgspec.structs.replace(rewritten, extra=stored.extra) == stored


@pytest.mark.parametrize("provider", sorted({provider for provider, _ in WAYS}))
def test_a_form_explains_each_key_and_shows_only_those_of_its_provider(provider: str) -> None:
    form = describe_preset(provider)
    assert form.title
    for way in form.ways:
        names = [key.name for key in (*way.keys, *way.more)]
        assert len(names) == len(set(names))
        assert all(key.label and key.help for key in (*way.keys, *way.more))
        assert {*find_preset(provider).variables} <= set(names)
        assert len(way.keys) <= 15

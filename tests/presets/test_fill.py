"""Places in a preset: values, defaults, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.presets.fill import BadVariable, fill
from oauth_taskflow.presets.model import BaseUrl, PhaseParams, Preset, Variable
from tests.presets.places import find_places


def preset(variable: dict[str, Any] | None = None, **fields: Any) -> Preset:
    """A preset with a tenant in its token URL."""
    tenant = Variable(**{"description": "Your tenant.", "example": "acme", **(variable or {})})
    whole = {"token_url": "https://{tenant}.example.com/token", **fields}
    return Preset(title="T", variables={"tenant": tenant}, **whole)


def test_places_are_filled_wherever_they_may_stand() -> None:
    found = fill(
        preset(
            params=PhaseParams(token={"t": "{tenant}"}),
            api_headers={"X-Tenant": "{tenant}", "X-Client": "{client_id}"},
            default_scopes=("{tenant}/all",),
        ),
        {"tenant": "acme", "client_id": "me"},
    )
    assert found.token_url == "https://acme.example.com/token"
    assert found.params.token == {"t": "acme"}
    assert found.api_headers == {"X-Tenant": "acme", "X-Client": "me"}
    assert found.default_scopes == ("acme/all",)


def test_text_that_is_not_a_place_stays() -> None:
    rule = BaseUrl(path="url", hosts=("*.example.com",))
    found = fill(
        preset(token_header="X-Token: {token}", base_url_from=rule, notes=("{tenant}",)),
        {"tenant": "acme"},
    )
    assert (found.token_header, found.base_url_from) == ("X-Token: {token}", rule)
    assert found.notes == ("{tenant}",)


def test_a_default_fills_a_place_even_when_it_would_not_fit_as_a_value() -> None:
    assert fill(preset({"default": "login"}), {}).token_url == "https://login.example.com/token"
    assert (
        fill(preset({"default": ""}, token_url="https://x/{tenant}"), {}).token_url == "https://x/"
    )


def test_a_missing_value_is_named_with_its_description() -> None:
    with pytest.raises(BadVariable, match="needs key 'tenant' in extra") as caught:
        fill(preset(), {})
    assert (caught.value.name, caught.value.hint) == ("tenant", "Your tenant.")


@pytest.mark.parametrize("value", ["evil.test/", "a@b", "a b", "a\nb", "", "a?b", "a#b", "-a", "é"])
def test_a_value_cannot_leave_its_place_in_the_host_name(value: str) -> None:
    with pytest.raises(BadVariable, match="takes another form of"):
        fill(preset(), {"tenant": value})


def test_only_listed_values_are_taken_when_there_is_a_list() -> None:
    regions = preset({"values": ("eu", "us")})
    assert fill(regions, {"tenant": "eu"}).token_url == "https://eu.example.com/token"
    with pytest.raises(BadVariable, match="does not know this value of 'tenant'") as caught:
        fill(regions, {"tenant": "asia"})
    assert caught.value.hint == "Use eu, us."


def test_a_value_that_looks_like_a_place_is_not_filled_again() -> None:
    loose = preset({"pattern": "."}, token_url="https://x/{tenant}")
    assert fill(loose, {"tenant": "{tenant}"}).token_url == "https://x/{tenant}"


def test_places_are_found_in_collections() -> None:
    assert find_places({"a": ["{x}", 1], "b": ("{y}", None)}) == {"x", "y"}

"""A DPoP token that the API refuses: the error points to the clock, which proofs depend on."""

from __future__ import annotations

from email.utils import formatdate

import pytest
import requests

from oauth_taskflow.api.errors import status_error

NOW = 1_800_000_000.0
REFUSED = "The API refuses the token. Check that it is one for this API: by the connection's scope and audience, if its grant has them."


def answered(date: str | None, scheme: str = "DPoP") -> requests.Response:
    """A 401 to a request with a token of that scheme."""
    response = requests.Response()
    response.status_code, response._content = 401, b""
    url, headers = "https://api.example.com/x", {"Authorization": f"{scheme} at-secret"}
    response.request = requests.Request("GET", url, headers).prepare()
    response.url = url
    if date is not None:
        response.headers["Date"] = date
    return response


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (
            600,
            "This machine's clock is 600 s behind the API's, and a DPoP proof with a wrong time is refused: correct the clock.",
        ),
        (
            -90,
            "This machine's clock is 90 s ahead of the API's, and a DPoP proof with a wrong time is refused: correct the clock.",
        ),
        (0, "This machine's clock agrees with the API's."),
    ],
)
def test_the_clock_is_compared_with_the_apis(ahead: float, said: str) -> None:
    error = status_error(answered(formatdate(NOW + ahead, usegmt=True)), now=NOW)
    assert error.hint == f"{REFUSED} {said}"


def test_without_a_date_the_clock_is_to_be_checked() -> None:
    hint = "A DPoP proof is refused when this machine's clock is wrong: check it."
    assert status_error(answered(None), now=NOW).hint == f"{REFUSED} {hint}"


def test_a_bearer_token_depends_on_no_clock() -> None:
    date = formatdate(NOW + 600, usegmt=True)
    assert status_error(answered(date, "Bearer"), now=NOW).hint == REFUSED

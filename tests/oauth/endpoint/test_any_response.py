"""Any bytes of a token endpoint become an outcome, and no message holds a secret."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from oauth_taskflow.oauth.endpoint.outcomes import Granted, NotProcessed, OutcomeUnknown, Rejected
from tests.oauth.endpoint.test_response import JSON, REFRESH, SECRET, outcome

VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(SECRET)
_WORDS = (
    "access_token expires_in expires_at token_type scope error error_description refresh_token "
    "ok status message"
)
FIELDS = st.sampled_from([*_WORDS.split(), SECRET, REFRESH])
OBJECTS = st.dictionaries(FIELDS, VALUES | st.lists(VALUES) | st.dictionaries(FIELDS, VALUES))
BODIES = (
    st.binary()
    | st.builds(lambda value: json.dumps(value).encode(), OBJECTS)
    | st.builds(lambda text: f"<html>{text}{SECRET}".encode("utf-8", "replace"), st.text())
)
HEADERS = st.dictionaries(st.sampled_from(["date", "retry-after", "location"]), st.text())


@given(st.integers(200, 599), BODIES, st.sampled_from([JSON, "text/html", ""]), HEADERS)
@example(200, f"<html>{'x' * 60}{SECRET}".encode(), "text/html", {})
@example(302, b"", "", {"location": f"https://x/{SECRET}"})
@example(200, json.dumps({SECRET: {"refreshtoken": "c"}}).encode(), JSON, {})
@example(200, json.dumps({SECRET: {"refreshtoken": "c"}, "access_token": "a"}).encode(), JSON, {})
def test_any_answer_is_an_outcome_that_shows_no_secret(
    status: int, body: bytes, content_type: str, headers: dict[str, str]
) -> None:
    found = outcome(status, body, content_type, **headers)
    assert isinstance(found, Granted | Rejected | NotProcessed | OutcomeUnknown)
    shown = found.found_at if isinstance(found, Granted) else repr(found) + str(found.error)
    for secret in (SECRET, REFRESH):
        assert secret not in shown
        # A secret must not be cut before it is looked for; a body may hold its first letters alone.
        beginning = secret[:9]
        rest = body.replace(secret.encode(), b"")
        assert beginning not in shown or beginning.encode() in rest

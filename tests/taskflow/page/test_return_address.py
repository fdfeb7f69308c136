"""All answers lead to a page of this Airflow, for anything that a browser sends, and people go back to one."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.taskflow.page.conftest import Browse

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("own_store", "at_loopback")]
_HOME = "http://127.0.0.1:8080/"
_PIECES = st.lists(
    st.sampled_from([*"/\\.:@?#%\t\n ", "//", "..", "http:", "evil.example", "dags", "%2F", "%5C"]),
    max_size=12,
).map("".join)
_MANY = examples(6, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_MANY
@given(path=st.one_of(_PIECES, _PIECES.map("/{}".format), st.text(max_size=30)))
def test_a_path_that_is_accepted_stays_on_this_host(path: str) -> None:
    from oauth_taskflow.taskflow.page.return_address import (  # noqa: PLC0415 - Airflow needs its home first
        is_own_path,
    )

    if is_own_path(path):
        # As browsers do (WHATWG URL): tabs and line breaks vanish, and a backslash is a slash.
        read = "".join(char for char in path if char not in "\t\r\n").replace("\\", "/")
        found = urlsplit(urljoin(_HOME, read))
        assert (found.scheme, found.netloc) == ("http", "127.0.0.1:8080")


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.one_of(st.binary(max_size=300), st.text(max_size=100).map(lambda t: f"state={t}")))
def test_any_answer_leads_to_a_page_of_the_app(browse: Browse, body: bytes | str) -> None:
    with browse() as client:
        answer = client.post("/oauth/callback", content=body, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] in {
        "/oauth/consent/malformed",
        "/oauth/consent/unknown",
    }

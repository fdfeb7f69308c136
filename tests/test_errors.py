"""Texts of errors are fit for a terminal, even if others wrote their parts."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.errors import ConnectionConfigError, OAuthTaskflowError, SpecError, printable
from oauth_taskflow.redaction import redact_url

COLOUR, TITLE, UP = "\x1b[31m", "\x1b]0;gone\x07", "\x1b[1A\x1b[2K"
BIDI = "\u202e\u2066\u200f"


def test_terminal_control_characters_are_removed_from_messages() -> None:
    error = OAuthTaskflowError(
        f"The API said {COLOUR}no{TITLE}", where=f"at {BIDI}x\x9b2J", hint=f"{UP}Try\ragain\x00."
    )
    assert str(error) == "The API said [31mno]0;gone at x2J. [1A[2KTryagain."
    assert error.args == ("The API said [31mno]0;gone",)


def test_line_breaks_stay() -> None:
    assert printable("a\nb\tc\r\n") == "a\nb c\n"
    assert str(SpecError([f"one {COLOUR}", "two"])) == "2 spec problems:\none [31m\ntwo"


@given(st.text())
def test_a_message_never_holds_a_control_character(text: str) -> None:
    shown = str(OAuthTaskflowError(text, where=text, hint=text)).replace("\n", "")
    assert shown.isprintable()


def test_a_url_that_a_server_wrote_is_fit_for_a_terminal() -> None:
    assert redact_url(f"https://api.example.com/{COLOUR}x{BIDI}") == "https://api.example.com/[31mx"


def _problems() -> list[ConnectionConfigError]:
    return [
        ConnectionConfigError("Unknown field", conn_id="crm", field="tokn", hint="Remove it."),
        ConnectionConfigError("Connection 'crm': it is old", conn_id="crm", where=""),
        ConnectionConfigError("The file is empty", conn_id="crm"),
    ]


def test_several_problems_of_a_connection_are_one_error() -> None:
    error = ConnectionConfigError.all_of(_problems())
    assert str(error) == (
        "Connection 'crm' has 3 problems:\n- field 'tokn': Unknown field. Remove it.\n- it is old.\n- The file is empty."
    )
    assert (error.conn_id, error.field, len(error.problems)) == ("crm", "tokn", 3)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), len(again.problems)) == (str(error), 3)


def test_a_single_problem_is_printed_unchanged() -> None:
    (first, *_) = _problems()
    assert ConnectionConfigError.all_of([first]) is first
    assert first.problems == (first,)

"""Questions about budgets and watermarks: short, used once, and harmless whatever a task writes into them."""

from __future__ import annotations

import base64
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.taskflow.broker.protocol import Question, address_question
from oauth_taskflow.taskflow.broker.questions import (
    LONGEST_ID,
    PREFIX,
    TooLong,
    read_answer,
    read_question,
    write_answer,
    write_question,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=20,
)
UTF8 = JSON.filter(lambda value: not _has_surrogate(value))


def _has_surrogate(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


@given(kind=st.text("abc", min_size=1), body=UTF8, conn_id=st.sampled_from(["crm", "a.b-c_d(1)"]))
def test_a_question_arrives_as_it_was_asked(kind: str, body: object, conn_id: str) -> None:
    nonce, text = write_question(kind, body)
    name = address_question(conn_id, text)
    assert len(name) <= LONGEST_ID
    assert name.removeprefix(conn_id).isascii()
    assert not set("/?#%&") & set(name)
    question = Question.read(name)
    assert (question.conn_id, question.ours) == (conn_id, True)
    asked = read_question(question.about)
    assert (asked.nonce, asked.kind, asked.body) == (nonce, kind, body)
    answer = write_answer(asked, body)
    assert read_answer(answer, nonce) == (body,)


def test_no_two_questions_are_the_same_and_an_answer_fits_its_own_alone() -> None:
    first, second = write_question("budget", [1]), write_question("budget", [1])
    assert first[1] != second[1]
    answer = write_answer(read_question(first[1]), "yes")
    assert read_answer(answer, first[0]) == ("yes",)
    assert read_answer(answer, second[0]) is None
    for other in (None, "", "https", '{"broker_answer": 1}', '"broker_answer"', "[broker_answer"):
        assert read_answer(other, first[0]) is None


def test_what_does_not_fit_into_an_id_is_not_asked() -> None:
    with pytest.raises(TooLong):
        write_question("watermark", [str(number**7) for number in range(1000)])


def pack(text: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(zlib.compress(text)).decode().rstrip("=")


@given(st.text(max_size=300) | st.binary(max_size=200).map(pack))
def test_any_other_text_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConnectionConfigError, match="does not understand this question"):
        read_question(PREFIX + text.removeprefix(PREFIX))


@pytest.mark.parametrize(
    "plain",
    [
        b" " * 50_000_000,
        b"[" * 60_000,
        b'["n","k",' + b"[" * 60_000,
        b'{"nonce": 1}',
        b"",
        b"[1,2]",
    ],
)
def test_bombs_and_nonsense_cost_nothing(plain: bytes) -> None:
    with pytest.raises(ConnectionConfigError):
        read_question(pack(plain))

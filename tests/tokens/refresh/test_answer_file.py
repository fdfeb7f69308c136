"""The recovery file of an attempt holds the latest answer, or says that it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.recovery_files import RecoveryFiles
from oauth_taskflow.tokens.refresh.answer_file import AnswerFile
from oauth_taskflow.tokens.state.rescued import RescuedAnswer
from tests.tokens.conftest import KEY

GRANT = "a" * 64


def answer(refresh_token: str) -> RescuedAnswer:
    return RescuedAnswer(GRANT, 1, "", Token("at", 0.0), refresh_token)


class FullDisk(RecoveryFiles):
    """Takes no file while ``full``."""

    full = False

    def save(self, rescued: RescuedAnswer) -> Path:
        if self.full:
            raise TokenStoreError("The disk is full")
        return super().save(rescued)


@pytest.fixture
def recovery(tmp_path: Path) -> FullDisk:
    return FullDisk(tmp_path / "recovery", TokenCipher([KEY]))


def kept(recovery: RecoveryFiles) -> list[str | None]:
    return [rescued.refresh_token for _, rescued in recovery.load(GRANT)]


def test_an_answer_that_is_in_the_file_is_not_written_again(recovery: FullDisk) -> None:
    file = AnswerFile(recovery)
    assert file.save(answer("rt-1"))
    recovery.full = True
    assert file.is_written
    assert file.require(answer("rt-1")).exists()
    assert kept(recovery) == ["rt-1"]


def test_a_file_with_an_earlier_answer_does_not_count_as_that_of_the_latest(
    recovery: FullDisk,
) -> None:
    file = AnswerFile(recovery)
    file.save(answer("rt-1"))
    recovery.full = True
    assert not file.save(answer("rt-2"))
    assert not file.is_written
    with pytest.raises(TokenStoreError, match="The disk is full"):
        file.require(answer("rt-2"))
    recovery.full = False
    file.require(answer("rt-2"))
    assert kept(recovery) == ["rt-2"]


def test_a_file_with_an_earlier_answer_is_removed_with_the_attempt(recovery: FullDisk) -> None:
    file = AnswerFile(recovery)
    file.save(answer("rt-1"))
    recovery.full = True
    file.save(answer("rt-2"))
    file.remove()
    assert kept(recovery) == []
    file.remove()  # twice is the same as once

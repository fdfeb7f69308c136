"""Shares of a folder of specs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.errors import SpecError
from oauth_taskflow.specs.check import check_paths
from oauth_taskflow.specs.shards import choose_share, find_share, require_shard


@given(name=st.text(), count=st.integers(1, 100))
def test_every_name_is_in_exactly_one_share(name: str, count: int) -> None:
    assert find_share(name, count) in range(count)
    assert find_share(name, count) == find_share(name, count)


def test_shares_stay_the_same_in_every_release() -> None:
    assert [find_share(f"source_{number:04d}", 4) for number in range(12)] == [
        *(0, 3, 1, 3, 3, 2, 2, 0, 0, 0, 0, 3)
    ]


def test_shares_are_of_like_size() -> None:
    shares = [find_share(f"source_{number:04d}", 8) for number in range(10_000)]
    assert all(1100 < shares.count(number) < 1400 for number in range(8))


def test_the_shares_of_a_folder_are_the_folder(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"s{number}.yaml").write_text(f"version: 1\ndag_id: s{number}\n")
    (tmp_path / "broken.yaml").write_text("a: [\n")
    checked = check_paths([tmp_path])
    shares = [list(choose_share(checked, (number, 3), tmp_path)) for number in range(3)]
    assert sorted(each.path for share in shares for each in share) == [
        c.path for c in sorted(checked, key=lambda c: c.path)
    ]
    assert all(shares)


@pytest.mark.parametrize("shard", [(3, 3), (-1, 3), (0, 0), (True, 2), ("0", "2"), (0.0, 2), (0,)])
def test_a_share_that_does_not_exist_is_refused(shard: tuple[int, int]) -> None:
    with pytest.raises(SpecError, match=r"There is no shard .*\. Write shard=\(0, 4\) to"):
        require_shard(shard)

"""For any contents of a file, the check gives problems or a model: no traceback, and soon."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.specs.check import CheckedSpec, check_file, check_text
from oauth_taskflow.specs.json_schema import spec_schema
from tests.support.timed import time_action

HERE = Path(__file__).parent
CORPUS = sorted([*(HERE / "valid").glob("*.yaml"), *(HERE / "invalid").glob("*.yaml")])
MUTANTS = 400
_KEYS = sorted(
    {key for table in spec_schema()["$defs"].values() for key in table["properties"]}
    | set(spec_schema()["properties"])
)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(
        [
            "{{ ds }}",
            "{{",
            "}}",
            "{ ds",
            "[",
            "@",
            "%Y-%",
            "P",
            "2026-02-30",
            "/..",
            "<<",
            "a\u200b",
        ]
    )
)
_DOCUMENTS = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=30,
)


def sound(checked: CheckedSpec) -> None:
    assert (checked.spec is None) == any(problem.is_error for problem in checked.problems)
    assert all(p.line >= 1 and p.col >= 1 and p.message for p in checked.problems)
    assert all("\n" not in str(p) for p in checked.problems)


@given(_DOCUMENTS)
def test_any_document_gives_problems_or_a_model(document: Any) -> None:
    sound(check_text(yaml.safe_dump(document, allow_unicode=True)))


@given(st.dictionaries(st.sampled_from(_KEYS), _DOCUMENTS, max_size=8))
def test_any_endpoint_gives_problems_or_a_model(endpoint: dict[str, Any]) -> None:
    document = {
        "version": 1,
        "dag_id": "x",
        "connection": "c",
        "endpoints": {"a": endpoint, "b": {}},
    }
    sound(check_text(yaml.safe_dump({**document, "defaults": endpoint})))


@given(st.binary(max_size=200))
def test_any_bytes_give_problems_or_a_model(content: bytes) -> None:
    sound(check_text(content.decode("utf-8", "replace")))


@pytest.mark.parametrize("seed", range(4))
def test_any_bytes_changed_in_a_spec_give_problems_or_a_model(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    file = tmp_path / "a.yaml"
    slowest = 0.0
    for _ in range(MUTANTS // 4):
        content = bytearray(chance.choice(CORPUS).read_bytes())
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(content))
            patch = chance.choice(
                [bytes([chance.randrange(256)]), b"{", b"}", b"\n", b"\t", b": ", b"*a", b""]
            )
            content[at : at + chance.randint(0, 3)] = patch
        file.write_bytes(content)
        checked, seconds = time_action(partial(check_file, file))
        sound(checked)
        slowest = max(slowest, seconds)
    assert slowest < 1

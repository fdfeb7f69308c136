"""A mistake is reported once: rules that cannot read a value leave it to the rule that is about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.specs import check as check_module
from oauth_taskflow.specs.cache import SpecCache
from oauth_taskflow.specs.check import check_paths, check_text
from oauth_taskflow.specs.rules.credentials import is_basic_credential
from oauth_taskflow.specs.search import find_spec

WINDOW = '{path: /a, params: {s: "{{ window.start }}", e: "{{ window.end }}"}}'
SPEC = """\
version: 1
dag_id: d
connection: c
catchup: false
schedule: "@daily"
start_date: 2026-01-01
%(top)s
endpoints:
  a:
    request: %(request)s
    destination: {path: "/d/a"}
    %(more)s
"""
DEEP = "{a: " * 20 + "text" + "}" * 20


def find_problems(more: str = "", request: str = "{path: /a}", top: str = "") -> list[str]:
    text = SPEC % {"more": more, "request": request, "top": top}
    return [f"{one.rule}: {one.message}" for one in check_text(text, "d.yaml").problems]


@pytest.mark.parametrize(
    "more",
    [
        'incremental: {start: 2026-01-01, until: 2026-03-01, format: "%Q", step: P1D, field: at}',
        'incremental: {start: 2026-01-01, format: "%Q"}',
    ],
)
def test_a_form_of_times_that_is_none_is_reported_once(more: str) -> None:
    assert find_problems(more, WINDOW) == ["bad-time-format: there is no code %Q"]


@pytest.mark.parametrize("where", ["a ==", "a ? b"])
def test_a_query_that_cannot_be_read_is_reported_once(where: str) -> None:
    (problem,) = find_problems(f'where: "{where}"')
    assert problem.startswith("bad-jmespath: not a JMESPath")


def test_a_template_that_cannot_be_read_is_no_bad_url() -> None:
    (problem,) = find_problems(request='{url: "https://a.example/{{ x }"}')
    assert problem.startswith("template-syntax")


@pytest.mark.parametrize(
    ("fields", "message"),
    [("{}", "the schema has no field"), (DEEP, "it is nested too deeply")],
    ids=["empty", "deep"],
)
def test_a_schema_in_the_spec_has_fields_and_few_levels(fields: str, message: str) -> None:
    more = f"contract: {{schema: {{fields: {fields}}}}}"
    assert find_problems(more) == [f"contract-schema: {message}"]


def test_a_name_that_postgresql_would_cut_is_refused() -> None:
    text = SPEC.replace(
        '{path: "/d/a"}', f"{{type: postgres, conn_id: pg, table: a, work_schema: {'x' * 80}}}"
    )
    problems = check_text(
        text % {"more": "", "request": "{path: /a}", "top": ""}, "d.yaml"
    ).problems
    assert [problem.rule for problem in problems] == ["table-name"]
    assert "cannot be a schema" in problems[0].message


def test_a_quarantine_of_the_defaults_is_for_the_endpoints_that_reject() -> None:
    (problem,) = find_problems("quarantine: {path: /q}")
    assert problem.startswith("quarantine-unused")
    assert find_problems(top="defaults: {quarantine: {path: /q}}") == []


@pytest.mark.parametrize(
    ("text", "is_credential"), [("YTpi", True), ("YWI", False), ("a", False), ("%%%", False)]
)
def test_user_and_password_in_base64_are_a_credential(text: str, is_credential: bool) -> None:
    assert is_basic_credential(text) is is_credential


def test_a_check_that_fails_hides_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "other"):
        (tmp_path / f"{name}.yaml").write_text(
            SPEC.replace("dag_id: d", f"dag_id: {name}")
            % {"more": "", "request": "{path: /a}", "top": ""}
        )
    real = check_module.check_file
    stop: list[BaseException] = [LookupError("a defect")]

    def check(path: str, cache: SpecCache | None = None) -> Any:
        if path.endswith("one.yaml"):
            raise stop[0]
        return real(path, cache)

    monkeypatch.setattr(check_module, "check_file", check)
    one, other = check_paths([str(tmp_path)])
    assert one.spec is None
    assert "the check failed" in one.problems[0].message
    assert other.spec is not None
    stop[:] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        check_paths([str(tmp_path)])


def test_a_file_that_cannot_be_read_hides_no_dag_of_another(tmp_path: Path) -> None:
    (tmp_path / "a-big.yaml").write_text("dag_id: d\n" + "#" * (2 << 20))
    (tmp_path / "d.yaml").write_text(SPEC % {"more": "", "request": "{path: /a}", "top": ""})
    (found,), problems = find_spec(tmp_path, "d")
    assert (found.source.dag_id, problems) == ("d", [])

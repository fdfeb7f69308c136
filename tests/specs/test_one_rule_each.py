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


@pytest.mark.parametrize(
    "more",
    [
        "incremental: {start: -P100Y, step: P100Y, field: at}",
        "incremental: {start: 2020-01-01, lookback: P100Y, field: at}",
    ],
)
def test_a_start_date_outside_of_the_calendar_is_reported_once(more: str) -> None:
    text = (SPEC % {"more": more, "request": WINDOW, "top": ""}).replace("@daily", "P1D")
    problems = check_text(text.replace("start_date: 2026", "start_date: 0050"), "d.yaml").problems
    assert [problem.rule for problem in problems] == ["bad-date"]


@pytest.mark.parametrize(
    ("more", "rules"),
    [
        ("incremental: {field: t, field_format: isoo, unit: PT1S}", ["bad-time-format"]),
        ("incremental: {field: t, field_format: iso, unit: PT1S}", ["field-format-lost"]),
    ],
)
def test_a_form_that_is_none_is_not_compared_with_what_fields_writes(
    more: str, rules: list[str]
) -> None:
    text = (
        SPEC % {"more": more, "request": WINDOW, "top": ""}
    ) + "    fields: {cast: {t: integer}}\n"
    assert [problem.rule for problem in check_text(text, "d.yaml").problems] == rules


@pytest.mark.parametrize(
    ("more", "rules"),
    [
        ("fields: {move: {a: b..c, d: e}, set: {e: 1}}", ["bad-field-path", "field-clash"]),
        ("fields: {set: {b..c: 1, e: 1}}", ["bad-field-path"]),
    ],
)
def test_a_path_that_cannot_be_read_clashes_with_nothing(more: str, rules: list[str]) -> None:
    assert [problem.partition(":")[0] for problem in find_problems(more)] == rules


@pytest.mark.parametrize("where", ["a ==", "a ? b", "a == 'b"])
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
    ("text", "is_credential"),
    [("YTpi", True), ("YWI", False), ("a", False), ("%%%", False), ("abcde", False)],
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
    (tmp_path / "z.yaml").write_text(SPEC % {"more": "", "request": "{path: /a}", "top": ""})
    (found,), problems = find_spec(tmp_path, "d")
    assert (found.source.dag_id, problems) == ("d", [])


SHARED = """\
version: 1
dag_id: d
connection: c
schedule: "@daily"
start_date: 2026-01-01
defaults: {destination: {path: "/d/{{ endpoint }}"}}
"""
SINCE = 'params: {s: "{{ window.start }}"}'
BESIDE = {
    "params that are broken may have any name": (
        """params: 5
endpoints: {a: {request: {path: "/{{ params.x }}"}}}""",
        ["wrong-type: expected a mapping, got a number"],
    ),
    "children of a broken endpoint, and theirs": (
        """endpoints:
  a: 5
  b: {for_each: {x: {endpoint: a}}, request: {path: "/{{ x.id }}"}, fields: {drop: [id]}}
  c: {for_each: {y: {endpoint: b}}, request: {path: "/{{ y.id }}"}}""",
        ["wrong-type: expected a mapping, got a number"],
    ),
    "windows are read several at once": (
        f"""endpoints:
  a: {{concurrency: 8, request: {{path: /a, {SINCE}}}, incremental: {{step: P1D, keep: window, field: t}}}}""",
        ["incremental-one-bound: step cuts windows, but window.end is never sent"],
    ),
    "pages of the author's class may be read several at once": (
        "endpoints: {a: {concurrency: 8, request: {path: /a}, paginate: {type: custom, path: my.Pages}}}",
        [],
    ),
    "another header than the paginator's": (
        """endpoints:
  a:
    request: {path: /a, headers: {X-Other: "1", x-page: "1"}}
    paginate: {type: page, param: X-Page, send_in: header}""",
        ["paginator-contradiction: the paginator sets the header 'x-page', too"],
    ),
    "a value of page one, which later ones replace": (
        """endpoints:
  a: {request: {path: /a, params: {c: "*"}}, paginate: {type: cursor, next: n, param: c}}
  b: {request: {path: /b, headers: {C: "0"}}, paginate: {type: keyset, key: id, param: c, send_in: header}}
  c: {request: {path: /c, params: {page: 1}}, paginate: {type: page, send_first: false}}
  d: {request: {path: /d, params: {offset: 0}}, paginate: {type: offset, send_first: false}}""",
        [],
    ),
    "a size, which every page has, and a cursor at page one": (
        """endpoints:
  a: {request: {path: /a, params: {c: "*", n: 5}}, paginate: {type: cursor, next: x, param: c, size: 9, size_param: n}}""",
        ["paginator-contradiction: the paginator sets the parameter 'n', too"],
    ),
    "a contract that leaves out the change time": (
        f"""endpoints:
  a:
    request: {{path: /a, {SINCE}}}
    incremental: {{field: changed}}
    contract: {{columns: freeze, schema: {{fields: {{id: integer}}}}}}""",
        ["contract-discards-key: the schema of the contract has no field 'changed'"],
    ),
    "paths that are not plain are not compared": (
        """endpoints:
  a: {request: {path: /a}, primary_key: ["a[0]", b], fields: {drop: [b]}}
  b: {request: {path: "/{{ x.id }}"}, for_each: {x: {endpoint: a, copy: {n: "b[0]", m: b}}}}""",
        [
            "field-lost: fields.drop leaves out 'b'",
            "field-lost: fields.drop leaves out 'b' in endpoint 'a'",
        ],
    ),
}


@pytest.mark.parametrize(("text", "problems"), BESIDE.values(), ids=BESIDE)
def test_nothing_is_reported_beside_the_one_mistake(text: str, problems: list[str]) -> None:
    found = check_text(f"{SHARED}{text}\n", "d.yaml").problems
    assert [f"{one.rule}: {one.message}" for one in found] == problems

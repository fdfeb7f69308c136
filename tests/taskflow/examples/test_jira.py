"""docs/examples/jira.yaml."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.api.scripted import Asked, Reply
from tests.taskflow.examples.play import Play, Record, Simulator, at

_JQL = re.compile(r'updated >= "([^"]+)" AND updated < "([^"]+)" ORDER BY updated ASC, id ASC')


class Jira(Simulator):
    """The token search knows no total; project pages are clamped to 20; ``PRJ-7`` was moved out of sight."""

    def __init__(self) -> None:
        super().__init__()
        self.projects = [{"id": str(i), "key": f"P{i}"} for i in range(45)]
        self.issues = [
            {
                "id": str(10_000 + i),
                "key": f"PRJ-{i}",
                "fields": {
                    "updated": (at(2, 8, 50) + timedelta(minutes=i)).strftime(
                        "%Y-%m-%dT%H:%M:%S.000+0000"
                    )
                },
            }
            for i in range(90)
        ]

    def routes(self) -> Mapping[str, Callable[[Asked], Any]]:
        return {
            "/rest/api/3/project/search": self.list_projects,
            "/rest/api/3/search/jql": self.search,
            "/rest/api/3/issue/": self.list_worklogs,
        }

    def list_projects(self, asked: Asked) -> Reply:
        if unknown := self.find_unknown(asked.query, "orderBy", "startAt", "maxResults"):
            return self.refuse(asked, 400, unknown)
        begin, size = int(asked.query.get("startAt", 0)), min(int(asked.query["maxResults"]), 20)
        rows = self.projects[begin : begin + size]
        is_last = begin + size >= len(self.projects)
        return Reply(
            {
                "startAt": begin,
                "maxResults": size,
                "total": len(self.projects),
                "isLast": is_last,
                "values": rows,
            }
        )

    def search(self, asked: Asked) -> Reply:
        if unknown := self.find_unknown(
            asked.query, "jql", "fields", "maxResults", "nextPageToken"
        ):
            return self.refuse(asked, 400, unknown)
        bounds = _JQL.fullmatch(asked.query["jql"])
        if bounds is None:
            return self.refuse(asked, 400, "jql")
        since, until = (_minute(text) for text in bounds.groups())
        rows = [row for row in self.issues if since <= _read_update(row) < until]
        begin = int(asked.query.get("nextPageToken", "token-0").removeprefix("token-"))
        size = min(int(asked.query["maxResults"]), 30)  # "*all" makes Jira answer with fewer
        page: Record = {"issues": rows[begin : begin + size], "isLast": begin + size >= len(rows)}
        return Reply(page if page["isLast"] else {**page, "nextPageToken": f"token-{begin + size}"})

    def list_worklogs(self, asked: Asked) -> Reply:
        issue = asked.path.split("/")[5]
        if issue == "10007":
            return Reply({"errorMessages": ["Issue does not exist"]}, 404)
        rows = [{"id": f"{issue}-{i}"} for i in range(2)]
        return Reply({"startAt": 0, "maxResults": 1000, "total": 2, "worklogs": rows})


def _minute(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=timezone.utc)


def _read_update(row: Record) -> datetime:
    return datetime.strptime(row["fields"]["updated"], "%Y-%m-%dT%H:%M:%S.%f%z")


def test_projects_issues_and_work_logs_are_complete(play_example: Play) -> None:
    jira = Jira()
    played = play_example("jira", jira, since="2026-03-02T09:00:00Z", until="2026-03-02T10:00:00Z")
    assert not jira.refused
    assert played.ids("projects") == [row["id"] for row in jira.projects]
    wanted = [row for row in jira.issues if at(1, 9) <= _read_update(row) < at(2, 10)]
    assert played.ids("issues") == [row["id"] for row in wanted]
    logs = [f"{row['id']}-{i}" for row in wanted if row["id"] != "10007" for i in range(2)]
    assert played.ids("worklogs") == logs
    counts = [played.count(f"/rest/api/3/{path}") for path in ("project", "search", "issue/")]
    assert counts == [3, 3, len(wanted)]

"""docs/examples/github.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from tests.api.scripted import Asked, Reply
from tests.taskflow.examples.play import Play, Record, Simulator, at, iso, parse

ORGANIZATION, BUSY, EMPTY, CLOSED = "acme", "engine", "fresh", "docs"


class GitHub(Simulator):
    """Lists behind Link headers; ``docs`` has its issues turned off, ``fresh`` has no commit yet."""

    def __init__(self) -> None:
        super().__init__()
        self.limited = 1
        self.repositories: list[Record] = [
            {"id": number, "name": name, "full_name": f"{ORGANIZATION}/{name}"}
            for number, name in enumerate((BUSY, EMPTY, CLOSED), 1)
        ]
        # An hour has 250 issues of the busy repository, two of them at the very moment of its beginning.
        self.issues: list[Record] = [
            {
                "id": 1000 + i,
                "number": i,
                "updated_at": iso(at(2, 9) + timedelta(seconds=10 * (i - 2))),
            }
            for i in range(1, 361)
        ]
        self.issues[0]["updated_at"] = self.issues[1]["updated_at"]
        self.comments: list[Record] = [
            {"id": 5000 + i, "updated_at": iso(at(2, 9) + timedelta(minutes=i))} for i in range(60)
        ]
        self.commits: list[Record] = [
            {
                "sha": f"{i:040x}",
                "commit": {"committer": {"date": iso(at(2, 8, 59) + timedelta(seconds=20 * i))}},
            }
            for i in range(240)
        ]

    def routes(self) -> Mapping[str, Callable[[Asked], Any]]:
        return {
            f"/orgs/{ORGANIZATION}/repos": self.list_repositories,
            "/repos/": self.list_children,
        }

    def list_repositories(self, asked: Asked) -> Reply:
        if unknown := self.find_unknown(asked.query, "type", "sort", "per_page", "page"):
            return self.refuse(asked, 422, unknown)
        return self.page(asked, self.repositories)

    def list_children(self, asked: Asked) -> Reply:
        _, _, organization, name, kind, *deeper = asked.path.split("/")
        if organization != ORGANIZATION:
            return self.refuse(asked, 404, "Not Found")
        if deeper == ["comments"]:
            kind = "comments"
        if kind == "commits":
            return self.list_commits(asked, name)
        if unknown := self.find_unknown(
            asked.query, "state", "sort", "direction", "since", "per_page", "page"
        ):
            return self.refuse(asked, 422, unknown)
        if name == CLOSED:
            return Reply({"message": "Issues are disabled for this repo"}, 410)
        if kind == "issues" and self.limited and name == BUSY and asked.query.get("page") == "2":
            self.limited -= 1
            return Reply({"message": "secondary rate limit"}, 403, {"Retry-After": "0"})
        rows: list[Record] = {"issues": self.issues, "comments": self.comments}[kind]
        since = parse(asked.query["since"])
        mine = rows if name == BUSY else []
        return self.page(asked, [row for row in mine if parse(row["updated_at"]) >= since])

    def list_commits(self, asked: Asked, name: str) -> Reply:
        if unknown := self.find_unknown(asked.query, "since", "until", "per_page", "page"):
            return self.refuse(asked, 422, unknown)
        if name == EMPTY:
            return Reply({"message": "Git Repository is empty."}, 409)
        since, until = parse(asked.query["since"]), parse(asked.query["until"])
        mine = self.commits if name == BUSY else []
        found = [row for row in mine if since <= parse(row["commit"]["committer"]["date"]) <= until]
        return self.page(asked, found[::-1])

    def page(self, asked: Asked, rows: list[Record]) -> Reply:
        """Cuts ``rows``; ``per_page`` above 100 is clamped, as GitHub does."""
        query = asked.query
        size, number = min(int(query.get("per_page", 30)), 100), int(query.get("page", 1))
        links = {}
        if number * size < len(rows):
            host = f"http://{asked.headers['Host']}{asked.path}"
            rest = "".join(f"&{k}={v}" for k, v in query.items() if k != "page")
            links = {"Link": f'<{host}?page={number + 1}{rest}>; rel="next"'}
        return Reply(rows[(number - 1) * size : number * size], headers=links)


def test_an_hour_of_changes_is_read_completely_and_once(play_example: Play) -> None:
    github = GitHub()
    played = play_example(
        "github",
        github,
        since="2026-03-02T09:00:00Z",
        until="2026-03-02T10:00:00Z",
        params={"organization": ORGANIZATION},
    )
    assert not github.refused
    assert played.ids("repositories") == [1, 2, 3]
    wanted = [row["id"] for row in github.issues if parse(row["updated_at"]) >= at(2, 8, 50)]
    assert played.ids("issues") == wanted
    assert len(wanted) == 360
    assert played.ids("comments") == [row["id"] for row in github.comments]
    assert {row["repository"] for row in played.records["issues"]} == {"acme/engine"}
    hour = [
        f"{i:040x}"
        for i in range(240)
        if at(2, 9) <= at(2, 8, 59) + timedelta(seconds=20 * i) < at(2, 10)
    ]
    assert sorted(played.ids("commits", "sha")) == hour
    # One page of repositories; four pages of issues, one of them twice because it was limited, and one try at each
    # other repository.
    targets = [asked.target for asked in played.requests]
    repeated = {target for target in targets if targets.count(target) > 1}
    assert len(repeated) == 1
    assert "/engine/issues?page=2" in repeated.pop()
    assert played.count("/orgs/") == 1
    assert sum("/issues?" in target for target in targets) == 4 + 1 + 2


def test_two_hours_that_follow_each_other_miss_no_commit(play_example: Play) -> None:
    github, shas = GitHub(), []
    for run, (since, until) in enumerate((("09", "10"), ("10", "11"))):
        played = play_example(
            "github",
            github,
            run=f"run{run}",
            params={"organization": ORGANIZATION},
            since=f"2026-03-02T{since}:00:00Z",
            until=f"2026-03-02T{until}:00:00Z",
        )
        shas += played.ids("commits", "sha")
    assert sorted(shas) == [f"{i:040x}" for i in range(3, 240)]

"""The time that authentication adds to each request with a fresh token, compared with other client libraries.

Usage: .venv/bin/python benchmarks/token_fast_path.py [--rounds 3]
"""

from __future__ import annotations

from measure import (
    Candidate,
    alternate,
    command_line,
    environment_line,
    require,
    table,
    verdict,
    versions_of,
)
from peers import OURS, use_peer

ROWS = (
    ("oauth-taskflow OAuthSession", "ours"),
    ("oauth-taskflow OAuth2Auth on requests.Session", "plain-auth"),
    ("google-auth AuthorizedSession", "google-auth"),
    ("Authlib OAuth2Session", "authlib"),
    ("requests-oauthlib OAuth2Session", "requests-oauthlib"),
    ("requests-oauth2client on requests.Session", "requests-oauth2client"),
)
TARGET = 20.0


def candidates() -> list[Candidate]:
    rows = []
    for name, kind in ROWS:
        row = Candidate(name, None, "token_child.py", [kind])
        if kind in {"ours", "plain-auth"}:
            row.python = OURS
        else:
            use_peer(row, "plain")
        rows.append(row)
    return rows


def main() -> None:
    options = command_line(__doc__, rounds=3)
    rows = candidates()
    alternate(rows, options.rounds, warm_up=False)
    require(rows[0])
    print(environment_line(versions_of(rows)))
    print(f"Processor time in µs, no network; median of {options.rounds} alternating runs\n")
    lines = []
    for row in rows:
        figures = [row.median(key) for key in ("alone", "added", "session", "bare")]
        shown = ["" if value is None else f"{value:.1f}" for value in figures]
        lines.append([row.name, *(shown if not row.missing else [row.missing, "", "", ""])])
    header = [
        "client",
        "token on a request",
        "session adds",
        "whole request",
        "bare requests.Session",
    ]
    print(table(header, lines))
    print()
    for row in rows[:2]:
        for key, what in (("alone", "token on a request"), ("added", "session adds")):
            print(
                verdict(f"{row.name}, {what}", row.median(key), TARGET, lambda us: f"{us:.1f} µs")
            )


if __name__ == "__main__":
    main()

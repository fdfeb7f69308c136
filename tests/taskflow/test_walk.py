"""How many files a reader opens to follow a connection's id to the request on the wire."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import oauth_taskflow
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import SetConnection

PACKAGE = Path(oauth_taskflow.__file__).parent


class Walk:
    """The files of ours that a call enters, and those of them that call into another one."""

    def __init__(self) -> None:
        self.entered: set[str] = set()
        self.leading_on: set[str] = set()

    def record(self, frame: FrameType, event: str, _: object) -> None:
        file = file_of(frame)
        if event != "call" or file is None:
            return
        self.entered.add(file)
        caller = frame.f_back
        while caller is not None and file_of(caller) is None:
            caller = caller.f_back
        if caller is not None and file_of(caller) != file:
            self.leading_on.add(file_of(caller) or "")
        if (file, frame.f_code.co_name) == ("api/adapter.py", "send"):
            sys.setprofile(None)  # this is the wire


def file_of(frame: FrameType) -> str | None:
    path = Path(frame.f_code.co_filename)
    if not path.is_relative_to(PACKAGE) or frame.f_code.co_name == "<module>":
        return None
    return path.relative_to(PACKAGE).as_posix()


@contextmanager
def record_walk() -> Iterator[Walk]:
    walk, before = Walk(), sys.getprofile()
    sys.setprofile(walk.record)
    try:
        yield walk
    finally:
        sys.setprofile(before)


def test_a_reader_follows_a_connection_to_the_wire_through_at_most_30_files(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    with open_session("crm") as first:
        first.get("/countries")  # the token is there, and everything is imported
        with record_walk() as walk, open_session("crm") as session:
            session.get("/countries")
    assert {"taskflow/sessions.py", "connections/parse.py", "api/auth.py"} <= walk.leading_on
    # Files that call no other file answer one question and need not be opened to follow the way.
    assert len(walk.leading_on) <= 30
    # Some are entered only when other tests emptied a cache.
    assert len(walk.entered) <= 62

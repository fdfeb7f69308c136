"""Many processes with one budget, and a server that counts the requests of every period by its own clock.

The workers note when a request was about to be written, by the monotonic clock that all processes of a machine share. The
machine of a test may let a request wait on its way for any time; how many are sent does not depend on that.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.budgets.keeper import Budgets, BudgetSet
from oauth_taskflow.budgets.permit import Permit
from oauth_taskflow.budgets.sql import open_budget_store
from tests.api.scripted import Asked, scripted

ROOT = Path(__file__).resolve().parents[2]
# The file that makes workers end.
_END = "end"


class CountingApi:
    """Answers each request with its number, and notes when it came and from which worker."""

    def __init__(self) -> None:
        self.url = ""
        self.came: list[tuple[float, str]] = []
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> object:
        with self._lock:
            self.came.append((time.monotonic(), asked.query.get("worker", "")))
        return {"number": len(self.came)}

    def most_in_any(self, period: float) -> int:
        """The most requests in any period of that many seconds, by this server's clock."""
        return most_in_any([at for at, _ in self.came], period)

    def wait_for(self, worker: str) -> None:
        """Returns once ``worker`` has sent a request."""
        self.wait_until(lambda: worker in self.workers())

    def wait_for_more(self, count: int) -> None:
        """Returns once ``count`` more requests have come."""
        wanted = len(self.came) + count
        self.wait_until(lambda: len(self.came) >= wanted)

    def wait_until(self, is_over: Callable[[], bool]) -> None:
        """Returns once ``is_over`` is true."""
        deadline = time.monotonic() + 600
        while not is_over():
            assert time.monotonic() < deadline, "no worker sends anything"
            time.sleep(0.02)

    @property
    def rate(self) -> float:
        """Requests a second from the first to the last."""
        came = sorted(at for at, _ in self.came)
        return (len(came) - 1) / (came[-1] - came[0])

    def workers(self) -> dict[str, int]:
        """How many requests each worker sent."""
        names = [worker for _, worker in [*self.came]]
        return {name: names.count(name) for name in set(names)}


@contextmanager
def counting_api() -> Iterator[CountingApi]:
    api = CountingApi()
    with scripted(api) as server:
        api.url = server.url
        yield api


def most_in_any(instants: list[float], period: float) -> int:
    """The most of ``instants`` in any period of that many seconds."""
    ordered = sorted(instants)
    return max(bisect_left(ordered, at + period) - index for index, at in enumerate(ordered))


def read_sent(folder: Path) -> list[float]:
    """When the workers that wrote into ``folder`` were allowed to send."""
    lines = [line for path in folder.glob("*.sent") for line in path.read_text().split()]
    return [float(line) for line in lines]


def start_worker(
    api: str, store: str, name: str, folder: Path, *limits: str, seconds: float, threads: int = 1
) -> subprocess.Popen[bytes]:
    """A process that sends requests until ``end_workers``, at most for ``seconds``; a limit is ``5/PT1S``, for instance."""
    arguments = [api, store, name, str(folder), str(seconds), str(threads), *limits]
    return subprocess.Popen([sys.executable, "-m", "tests.budgets.crowd", *arguments], cwd=ROOT)


def end_workers(folder: Path, workers: list[subprocess.Popen[bytes]]) -> list[int]:
    """Let the workers that write into ``folder`` end after the request that each is at; returns their exit statuses."""
    (folder / _END).touch()
    return wait_for_all(workers)


def wait_for_all(workers: list[subprocess.Popen[bytes]], seconds: float = 300.0) -> list[int]:
    """The exit statuses; workers that go on for longer than that are killed."""
    end = time.monotonic() + seconds
    try:
        return [worker.wait(max(0.1, end - time.monotonic())) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def session_with_budget(api: str, store: str, *limits: str) -> OAuthSession:
    parts = [limit.split("/") for limit in limits]
    options = tuple(RateLimit(requests=int(requests), per=per) for requests, per in parts)
    budgets = Budgets(lambda: open_budget_store(store), BudgetSet("crm", options), base_url=api)
    return OAuthSession(api, budgets=budgets)


def note_what_is_sent(path: Path) -> None:
    """Let each permit of this process write into ``path`` when it is confirmed, right before the request is written."""
    confirm = Permit.confirm

    def noting(permit: Permit) -> float:
        waited = confirm(permit)
        at = time.monotonic()
        with path.open("a") as file:
            file.write(f"{at}\n")
        return waited

    setattr(Permit, "confirm", noting)  # noqa: B010 - in this process alone


def main(arguments: list[str]) -> None:
    api, store, name, folder, seconds, threads, *limits = arguments
    note_what_is_sent(Path(folder) / f"{name}.sent")
    end = time.monotonic() + float(seconds)

    def send() -> None:
        while time.monotonic() < end and not (Path(folder) / _END).exists():
            session.get("/", params={"worker": name})

    with session_with_budget(api, store, *limits) as session:
        running = [threading.Thread(target=send) for _ in range(int(threads))]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()


if __name__ == "__main__":
    main(sys.argv[1:])

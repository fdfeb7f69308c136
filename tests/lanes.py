"""Chooses which tests run: ``pytest --fast`` for each save, plain ``pytest`` for the gate, ``pytest --full`` for everything.

The fast tests load no Airflow, start no database server and no browser, and neither sleep nor compute for long.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

TESTS = Path(__file__).parent
# Everything in these folders needs Airflow, a server, or libraries that take seconds to load.
SLOW_FOLDERS = frozenset(
    TESTS / name
    for name in (
        "browser",
        "celery",
        "end_to_end",
        "fab",
        "oauth/oracles",
        "oidc_provider",
        "stores",
        "tables",
        "taskflow",
    )
)
NOT_FAST = frozenset({"airflow", "full", "mariadb", "postgres", "slow"})
# A test that uses this fixture, or a parameter with this value, needs the server that the mark names.
MARKS = {
    "mariadb_url": "mariadb",
    "mariadb": "mariadb",
    "postgres_url": "postgres",
    "postgres": "postgres",
    "postgresql": "postgres",
    "pgbouncer": "postgres",
    "pooled_url": "postgres",
}
# Seconds. A test that waits for a condition looks again after less; how long the package waits may depend on the machine.
LONGEST_SLEEP = 0.05
PACKAGE = TESTS.parent / "oauth_taskflow"
T = TypeVar("T")

# The machine is shared, and the first call into a library imports half of it: a slow example says nothing about the code.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50
)
settings.register_profile("quick", settings.get_profile("patient"), max_examples=10)
settings.register_profile("thorough", settings.get_profile("patient"), max_examples=1000)
settings.load_profile("patient")


class WithoutAirflow:
    """An import hook that refuses Airflow, so that a test that loads it cannot slip into the fast tests."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> None:
        """Raise ImportError for Airflow; leave all other modules to the other hooks."""
        if name.partition(".")[0] == "airflow":
            msg = "The fast tests load no Airflow: mark this test with pytest.mark.airflow"
            raise ImportError(msg)


class Sleeps:
    """Long sleeps of tests in this process, with the places that called for them."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def watch(self) -> None:
        """Note the calls of ``time.sleep`` and ``asyncio.sleep`` from now on."""
        sleep, async_sleep = time.sleep, asyncio.sleep

        def watched(seconds: float, /) -> None:
            self._note(seconds)
            sleep(seconds)

        async def async_watched(delay: float, result: T | None = None) -> T | None:
            self._note(delay)
            return await async_sleep(delay, result)

        time.sleep, asyncio.sleep = watched, async_watched  # type: ignore[assignment]  # as generic as the real one

    def _note(self, seconds: float) -> None:
        caller = sys._getframe(2)
        file = Path(caller.f_code.co_filename)
        if seconds > LONGEST_SLEEP and not file.is_relative_to(PACKAGE):
            self.found.append(f"{file}:{caller.f_lineno}: {seconds:g} s")

    def refuse(self) -> None:
        """Fail the running test if it slept."""
        found, self.found = self.found, []
        if found:
            pytest.fail(
                "The fast tests do not sleep: wait for a condition, use a fake clock, or mark this test with"
                f" pytest.mark.slow. It slept at {', '.join(found)}",
                pytrace=False,
            )


SLEEPS = Sleeps()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options."""
    lanes = parser.getgroup("oauth-taskflow")
    lanes.addoption("--fast", action="store_true", help="without Airflow, servers and slow tests")
    lanes.addoption("--full", action="store_true", help="with the tests that are too long for CI")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse Airflow and sleeps in a fast run, which has fewer generated examples than the gate; a full one has more."""
    if config.getoption("--full"):
        settings.load_profile("thorough")
    if config.getoption("--fast"):
        settings.load_profile("quick")
        hook: list[object] = sys.meta_path  # type: ignore[assignment]  # find_spec is all a hook needs
        hook.insert(0, WithoutAirflow())
        SLEEPS.watch()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the folders whose collection alone would take long."""
    folders = {collection_path, *collection_path.parents}
    return True if config.getoption("--fast") and folders & SLOW_FOLDERS else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, T, T]:
    """Keep the garbage collector from looking through ten thousand tests again and again, while they come and later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, T, T]:
    """Fail the test that slept, or whose fixtures did."""
    result = yield
    SLEEPS.refuse()
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by the servers that they use, then deselect those that this run leaves out.

    No generated example is measured: which lines they reach is chance, and other tests reach them too.
    """
    for item in items:
        for mark in sorted(_servers_of(item)):
            item.add_marker(mark)
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.no_cover)
    unwanted = NOT_FAST if config.getoption("--fast") else frozenset({"full"})
    if config.getoption("--full"):
        unwanted -= {"full"}
    left_out = {item for item in items if unwanted & {mark.name for mark in item.iter_markers()}}
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]


def _servers_of(item: pytest.Item) -> set[str]:
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    used = [*getattr(item, "fixturenames", ()), *parameters.values()]
    return {MARKS[name] for name in used if isinstance(name, str) and name in MARKS}

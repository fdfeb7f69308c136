"""Every kind of authentication in a whole Airflow at DEBUG level; then every place where a secret could have ended up.

Tasks find connections of every kind in a file, by a secrets backend of the workers, and refresh by themselves; others
stand in the metadata database behind the broker. ``leak_scan`` says in which forms a secret is looked for.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.testing.airflow_deployment import AirflowDeployment
from oauth_taskflow.tokens.registry import open_store
from tests.end_to_end import leak_dags, leak_kinds
from tests.end_to_end.leak_commands import CommandLine, browser_command
from tests.end_to_end.leak_kinds import Connection, World, running_world
from tests.end_to_end.leak_scan import ProcessWatch, Scanner, read_questions
from tests.postgres import copy_to_sqlite, create_database

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

FERNET_KEY = Fernet.generate_key().decode()
LOCAL_FILE = "airflow.secrets.local_filesystem.LocalFilesystemBackend"
DAGS = ("direct", "brokered", "pulled")
FAILING = {"direct.refused", "direct.breaks", "brokered.denied"}
# Names of connections from add_static_kinds and add_direct_kinds; each group is a task.
SIGNED = (
    *("hmac", "key", "key_file", "key_locked", "app", "asserted"),
    *("self_signed", "mutual", "proved", "proved_rotating"),
)
GRANTED = ("jwt", "saml", "saml_file", "exchange", "password", "zoom", "notion", "meta")
# The API would not take their tokens, or not there; answered with 401, the last two refresh at once.
ELSEWHERE = {
    "bare": "/echo",
    "self_signed": "/echo",
    "bodied": "POST /echo",
    "aws": "/echo",
    "crm_signed": "/echo",
    "meta": "/flaky/401?key=meta",
    "crm_query": "/flaky/401?key=crm_query",
}
A_JWT = re.compile(rb"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{20,}")
MADE = {"client_assertion", "assertion", "code", "code_verifier", "device_code"}
# Kind of secret → where the protocol wants it in a request.
BELONGS = {
    "client secret": [
        "/oauth/* header Authorization",
        "/oauth/* body client_secret",
        "/oauth/meta query client_secret",
    ],
    "raw secret": ["/oauth/token header Authorization"],
    "wrong secret": ["/oauth/token header Authorization"],
    "token parameter": ["/oauth/token body client_token"],
    "token header": ["/oauth/token header X-Token-Secret"],
    "client_assertion": ["/oauth/token body client_assertion"],
    "assertion": ["/oauth/token body assertion"],
    "app assertion": ["/app/installations/42/access_tokens header Authorization"],
    "self-signed token": ["/echo header Authorization"],
    "SAML signature": ["/oauth/token body assertion"],
    "actor token": ["/oauth/token body actor_token"],
    "user password": ["/oauth/token body password"],
    "code": ["/oauth/token body code"],
    "code_verifier": ["/oauth/token body code_verifier"],
    "device_code": ["/oauth/token body device_code"],
    "refresh token": ["/oauth/token body refresh_token", "/oauth/revoke body token"],
    "query token": ["/oauth/meta query fb_exchange_token"],
    "next query token": ["/oauth/meta query fb_exchange_token", "/flaky/401 header Authorization"],
    "access token": [
        "/countries header Authorization",
        "/countries query access_token",
        "/echo header Authorization",
        "/echo header X-Auth-Token",
        "/oauth/token body subject_token",
        "/oauth/introspect body token",
        "/oauth/revoke body token",
    ],
    "proof": ["/oauth/token header Dpop", "/countries header Dpop"],
    "static token": [
        "/with/bearer/countries header Authorization",
        "/with/none/countries header X-Auth-Token",
    ],
    "API key": [
        "/with/api_key/countries header X-Api-Key",
        "/with/none/countries query X-API-Key",
        "/with/path/* path",
    ],
    "added parameter": ["/with/none/countries query auth"],
    "added member": ["/echo body auth"],
    "AWS token": ["/echo header X-Amz-Security-Token"],
    "API header": ["/with/api_key/countries header X-Api-Secret"],
    "login password": ["/auth/token body password", "/with/basic/countries header Authorization"],
}


@dataclass(frozen=True)
class Aftermath:
    """The state after everything ran."""

    world: World
    home: Path
    states: dict[str, str]
    exits: list[int]
    processes: ProcessWatch


@dataclass(frozen=True)
class Stage:
    """One deployment and everything that runs in it."""

    world: World
    home: Path
    # Airflow's API server can wait for itself for two minutes where tasks write a connection back to SQLite.
    database: str

    def prepare(self) -> tuple[AirflowDeployment, dict[str, Connection]]:
        """DEBUG logs, the broker on the API server, and for workers a file of connections that they use by themselves."""
        (dags := self.home / "dags").mkdir()
        static, direct = (
            leak_kinds.add_static_kinds(self.world),
            leak_kinds.add_direct_kinds(self.world),
        )
        usual = [name for name in (*static, *direct) if name not in (*SIGNED, *GRANTED, "refused")]
        named = {"usual": usual, "signed": SIGNED, "granted": GRANTED}
        groups = {name: _paths(kinds) for name, kinds in named.items()}
        introspection = f"{self.world.plain.base_url}/oauth/introspect"
        (dags / "direct.py").write_text(leak_dags.write_direct_dag(groups, introspection))
        brokered = _paths(
            (
                "crm",
                "crm_key",
                "crm_login",
                "crm_query",
                "crm_param",
                "crm_signed",
                "person",
                "basic",
            )
        )
        (dags / "brokered.py").write_text(leak_dags.write_brokered_dag(brokered))
        (dags / "specs.py").write_text(leak_dags.LOADING)
        (dags / "pulled.yaml").write_text(leak_dags.SPEC.format(folder=self.home / "lake"))
        stored = {
            **static,
            **leak_kinds.add_brokered_kinds(self.world),
            "written": direct["written"],
        }
        airflow = AirflowDeployment(
            self.home,
            dags,
            environment=self._environment(),
            database=self.database,
            parallelism=4,
        )
        own = {"conn_type": "oauth2", "host": airflow.url, "extra": {"auth_type": "session"}}
        airflow_api = {**own, "login": "admin", "password": airflow.password}
        everything = {**static, **direct, "airflow_api": airflow_api}
        self.world.keep_file("connections.json", json.dumps(everything))
        return airflow, stored

    def _environment(self) -> dict[str, str]:
        file = {"connections_file_path": str(self.world.keep / "connections.json")}
        return {
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
            "AIRFLOW__CORE__FERNET_KEY": FERNET_KEY,
            "AIRFLOW__SECRETS__BACKEND": "oauth_taskflow.taskflow.secrets_backend.OAuthBroker",
            "AIRFLOW__WORKERS__SECRETS_BACKEND": LOCAL_FILE,
            "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS": json.dumps(file),
            "AIRFLOW__OAUTH_TASKFLOW__WRITE_BACK_CONN_ID": "airflow_api",
            "BROWSER": browser_command(self.home),
        }

    def run(self) -> Aftermath:
        """Start Airflow, run everything, stop it."""
        airflow, stored = self.prepare()
        (folder := self.home / "commands").mkdir()
        commands = CommandLine(airflow.environment, folder)
        with ProcessWatch(f"AIRFLOW_HOME={self.home}") as processes, airflow:
            for conn_id, connection in stored.items():
                airflow.add_connection(conn_id, connection)
            with ThreadPoolExecutor(1) as person:
                authorized = person.submit(commands.authorize, "person")
                for dag_id in DAGS:
                    airflow.wait_for_dag(dag_id)
                exits = [authorized.result()]
                runs = {dag_id: airflow.trigger(dag_id) for dag_id in DAGS}
                tended = person.submit(commands.run, *self._commands())
                states = {task: s for run in runs.items() for task, s in _end_states(airflow, *run)}
                exits.append(tended.result())
        copy_to_sqlite(self.database, self.home / "airflow.db")
        return Aftermath(self.world, self.home, states, exits, processes)

    def _commands(self) -> list[tuple[str, ...]]:
        spec, output = self.home / "dags" / "pulled.yaml", self.home / "commands" / "pulled"
        return [
            ("login", "phone", "--device"),
            ("login", "paper", "--paste", "--write-back"),
            ("refresh", "paper"),
            ("status",),
            ("revoke", "phone"),
            ("forget", "paper"),
            ("pull", str(spec), "--output", str(output)),
        ]


def _paths(kinds: Iterable[str]) -> dict[str, str]:
    return {kind: ELSEWHERE.get(kind, "/countries") for kind in kinds}


def _end_states(airflow: AirflowDeployment, dag_id: str, run_id: str) -> Iterator[tuple[str, str]]:
    airflow.wait(dag_id, run_id)
    for task in airflow.task_instances(dag_id, run_id):
        yield f"{dag_id}.{task['task_id']}", task["state"]


@pytest.fixture(scope="module")
def aftermath(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """One run of everything."""
    database = create_database(postgres_url, "leaks")
    with running_world(tmp_path_factory.mktemp("keep")) as world:
        yield Stage(world, tmp_path_factory.mktemp("leaks"), database).run()


@pytest.fixture(scope="module")
def scanner(aftermath: Aftermath) -> Scanner:
    """Knows every secret that was configured, and all that came up meanwhile."""
    found = [*_find_issued_secrets(aftermath.world), *_read_stored_keys(aftermath.home)]
    numbered = {f"{name} #{number}": secret for number, (name, secret) in enumerate(found)}
    return Scanner({**aftermath.world.secrets, **numbered, "Fernet key": FERNET_KEY})


def _find_issued_secrets(world: World) -> Iterator[tuple[str, str]]:
    """Yields the secrets that servers issued, and those made for a single request."""
    for server in world.servers:
        for token in server.state.list_issued():
            yield ("refresh token" if server.state.family(token) else "access token"), token
        for request in server.requests:
            if proof := request.headers.get("Dpop"):
                yield "proof", proof
            if request.path.startswith("/app/"):
                yield "app assertion", request.headers["Authorization"].removeprefix("Bearer ")
            if request.path == "/echo" and is_jwt(request.headers.get("Authorization", "")):
                yield "self-signed token", request.headers["Authorization"].removeprefix("Bearer ")
            if request.path == "/oauth/token":
                yield from ((name, value) for name, value in request.form.items() if name in MADE)


def is_jwt(authorization: str) -> bool:
    return A_JWT.search(authorization.encode()) is not None


def _read_stored_keys(home: Path) -> Iterator[tuple[str, str]]:
    """The DPoP keys in the token store, which its Fernet key opens."""
    store = open_store(f"sqlite:///{home}/oauth_taskflow.db", (FERNET_KEY,))
    for _, grant_key in store.list_grants():
        if key := store.read(grant_key).dpop_key:
            yield "DPoP key", key


def test_every_kind_worked_and_what_should_fail_failed(aftermath: Aftermath) -> None:
    failed = {task for task, state in aftermath.states.items() if state != "success"}
    assert failed == FAILING
    assert len(aftermath.states) == 15
    assert aftermath.exits == [0, 0]
    assert aftermath.world.plain.counters.reuse_detected == 0
    assert "/oauth/introspect" in {request.path for request in aftermath.world.mutual.requests}


@pytest.mark.parametrize("conn_id", ["crm", "person", "written", "paper"])
def test_rotated_refresh_tokens_were_written_back_by_broker_task_and_command(
    aftermath: Aftermath, conn_id: str
) -> None:
    with contextlib.closing(sqlite3.connect(aftermath.home / "airflow.db")) as database:
        query = "SELECT extra FROM connection WHERE conn_id = ?"
        ((stored,),) = database.execute(query, (conn_id,))
    extra = json.loads(Fernet(FERNET_KEY).decrypt(stored))
    family = aftermath.world.plain.state.family(extra["refresh_token"])
    assert family is not None
    # A login brings the first one; for the others that is what the connection held in the beginning.
    later = {token for after in family.successors.values() for token in after}
    assert conn_id == "paper" or extra["refresh_token"] in later


def test_logs_database_token_store_and_every_other_file_hold_no_secret(
    aftermath: Aftermath, scanner: Scanner
) -> None:
    files = [path for path in aftermath.home.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {
        "airflow.db",
        "oauth_taskflow.db",
        "standalone.log",
        "login.log",
        "commands.err",
    } <= names
    log = (aftermath.home / "standalone.log").read_bytes()
    assert b"[debug " in log
    questions = read_questions(log)
    assert b'"budget"' in questions
    assert b'"watermark"' in questions
    found = {(str(path), *hit) for path in files for hit in _find_leaks(scanner, path)}
    assert found == set()
    # Airflow's own tokens too, with which a task writes a refresh token back.
    assert [path for path in files if A_JWT.search(path.read_bytes())] == []


def _find_leaks(scanner: Scanner, path: Path) -> set[tuple[str, str]]:
    """LocalExecutor repeats task logs on the scheduler's output, and Airflow 3.3 masks nothing there.

    Logs of the package and its libraries must be clean without that; an author's own words cannot be.
    """
    if path.name != "standalone.log":
        return scanner.find_in_file(path)
    lines = [line for line in path.read_bytes().splitlines() if b"the author" not in line]
    text = b"\n".join(lines)
    return {(name, path.name) for name in scanner.find(text + read_questions(text))}


def test_no_process_was_started_with_a_secret_or_has_one_in_its_environment(
    aftermath: Aftermath, scanner: Scanner
) -> None:
    processes = aftermath.processes
    assert any(b"airflow" in arguments for arguments in processes.arguments)
    assert scanner.find(b"\n".join(processes.arguments)) == set()
    # Airflow itself takes its key from there.
    assert scanner.find(b"\n".join(processes.environments.values())) == {"Fernet key"}


def test_on_the_wire_each_secret_goes_only_where_it_belongs(
    aftermath: Aftermath, scanner: Scanner
) -> None:
    requests = [request for server in aftermath.world.servers for request in server.requests]
    found = {hit for request in requests for hit in scanner.find_in_request(request)}
    seen = {(name.partition(" #")[0], place) for name, place in found}
    astray = {
        (kind, place)
        for kind, place in seen
        if not any(fnmatchcase(place, right) for right in BELONGS.get(kind, []))
    }
    assert astray == set()
    for kind, places in BELONGS.items():
        for right in places:
            assert any(kind == k and fnmatchcase(place, right) for k, place in seen), (kind, right)

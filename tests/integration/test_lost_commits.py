"""A COMMIT that PostgreSQL carried out, and whose answer nobody got: who asks again finds it done, once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from app.errors import Unavailable
from app.models import claims, deliveries, jobs, sessions
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from tests.faults.toxics import LOST_COMMIT, Proxy
from tests.integration import makers
from tests.integration.apis import Api
from tests.integration.workplace import Workplace, fake_model, wait_for
from tests.postgres import running_postgres

pytestmark = pytest.mark.integration
URL = "https://example.com/hook"


@pytest.fixture(scope="session")
def database_kind() -> str:
    """SQLite is a library: its COMMIT has no way on which an answer could be lost."""
    return "postgresql"


@pytest.fixture
def proxy(migrated_postgres: running_postgres) -> Iterator[Proxy]:
    made = Proxy(("127.0.0.1", migrated_postgres.port), seed=1)
    yield made
    made.close()


@pytest.fixture
def far(database: Database, proxy: Proxy) -> Iterator[Database]:
    """The same database through the proxy, with a connection that is open."""
    db = Database(database.url.set(port=proxy.port).render_as_string(hide_password=False))
    with db.read() as tx:
        tx.exec_driver_sql("SELECT 1")
    yield db
    db.close()


def lose_commit(proxy: Proxy, act: Callable[[], object]) -> None:
    """Does something whose COMMIT is carried out without an answer: it must not pass for done."""
    before = proxy.num_lost
    proxy.set(LOST_COMMIT)
    with pytest.raises(Unavailable, match="database_unavailable"):
        act()
    proxy.set(None)
    wait_for(lambda: proxy.num_lost == before + 1, "the answer that nobody gets")


def count(db: Database, table: str) -> int:
    with db.read() as tx:
        return int(tx.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def test_a_job_whose_commit_got_no_answer_is_found_under_its_key(
    database: Database, far: Database, proxy: Proxy
) -> None:
    new = makers.new_job(idempotency_key="k", request_hash="h", webhook=URL)

    lose_commit(proxy, lambda: jobs.create(far, new))
    stored = jobs.list_page(database, DEFAULT_TENANT, limit=10)[0]
    again, is_new = jobs.create(far, new)

    assert [again.id] == [job.id for job in stored]
    assert not is_new
    assert (count(database, "jobs"), count(database, "webhooks")) == (1, 1)


def test_a_client_is_told_to_repeat_and_then_gets_the_job_that_was_stored(
    database: Database, far: Database, proxy: Proxy, redis_url: str, tmp_path: Path
) -> None:
    api = Api(far, redis_url, tmp_path)
    sent = {"json": {"model": "small", "prompt": "hi"}, "headers": {"Idempotency-Key": "k"}}

    proxy.set(LOST_COMMIT)
    refused = api.client.post("/v1/jobs", **sent)
    proxy.set(None)
    answer = api.client.post("/v1/jobs", **sent)

    wait_for(lambda: proxy.num_lost == 1, "the answer that nobody gets")
    assert (refused.status_code, answer.status_code) == (503, 202)
    assert refused.headers["Retry-After"]
    (stored,) = jobs.list_page(database, DEFAULT_TENANT, limit=10)[0]
    assert answer.json["id"] == stored.id
    api.celery.close()


def test_results_whose_commit_got_no_answer_are_stored_once_with_all_that_hangs_on_them(
    database: Database, far: Database, proxy: Proxy
) -> None:
    holder = makers.add_worker(database)
    batch = makers.add_batch(database, num_lines=3)
    session = sessions.create(database, DEFAULT_TENANT, None)
    made = makers.add_job(database, session_id=session.id, webhook=URL)
    held = makers.take(database, holder)
    outcomes = [makers.succeed(job) for job in held]

    lose_commit(proxy, lambda: claims.settle(far, outcomes))
    again = claims.settle(far, outcomes)

    ended = makers.reload(database, batch)
    assert (again.accepted, again.fenced) == (frozenset(), frozenset(job.id for job in held))
    assert (ended.completed, ended.failed) == (3, 0)
    assert (count(database, "results"), count(database, "turns")) == (len(held), 1)
    assert jobs.get(database, DEFAULT_TENANT, made.id).result
    assert [deliveries.announce(database, []) for _ in range(2)] == [1, 0]


def test_a_claim_whose_commit_got_no_answer_is_given_back_uncounted(
    database: Database, far: Database, proxy: Proxy
) -> None:
    holder = makers.add_worker(database)
    made = makers.add_job(database)

    lose_commit(proxy, lambda: makers.take(far, holder))
    assert jobs.get(database, DEFAULT_TENANT, made.id).state == "running"
    assert claims.release_unknown(far, holder, known=[]) == 1

    (again,) = makers.take(far, holder)
    assert (again.id, again.attempt, again.crashes) == (made.id, 2, 0)


def test_workers_that_hear_of_no_commit_end_every_job_once(
    database: Database, far: Database, proxy: Proxy, redis_url: str, tmp_path: Path
) -> None:
    """A real worker: pulses, claims and results are all stored, and it learns of none."""
    url = far.url.render_as_string(hide_password=False)
    options = {"models": (fake_model(step_seconds=0.02),), "lease_seconds": 15.0, "url": url}
    place = Workplace(database, redis_url, tmp_path / "w", **options)
    try:
        worker = place.start_worker()
        place.start_control()
        row = place.wait_ready()
        made = [place.add(f"{number}", max_tokens=200) for number in range(12)]
        place.hint(made)
        place.wait_running(made[0])

        assert proxy.lose_commits(6.0) >= 3
        ended = place.wait_ended(*made)

        assert {job.state for job in ended} == {"succeeded"}
        assert {job.crashes for job in ended} == {0}
        assert place.count("SELECT count(*) FROM results") == len(made)
        doubled = "SELECT count(*) FROM results r JOIN jobs j ON j.id = r.job_id"
        assert place.count(f"{doubled} WHERE r.attempt <> j.attempt") == 0
        assert worker.process.poll() is None
        assert place.wait_ready().pid == row.pid
    finally:
        place.close()


@pytest.mark.parametrize("way", ["query", "pipeline"])
def test_the_toxic_finds_a_commit_however_psycopg_sends_it(
    database: Database, proxy: Proxy, way: str
) -> None:
    """And lets what only reads through: nobody could get a connection otherwise."""
    url = database.url.set(port=proxy.port, drivername="postgresql")
    connection = psycopg.connect(url.render_as_string(hide_password=False))
    connection.execute("CREATE TABLE probe (number int)")
    connection.commit()
    proxy.set(LOST_COMMIT)
    connection.execute("SELECT 1")
    connection.commit()
    assert proxy.num_touched == 0

    with pytest.raises(psycopg.OperationalError):
        insert(connection, way)

    wait_for(lambda: proxy.num_lost == 1, "the answer that nobody gets")
    assert count(database, "probe") == 1
    assert proxy.num_touched == 1
    connection.close()


def insert(connection: psycopg.Connection, way: str) -> None:
    if way == "query":
        connection.execute("INSERT INTO probe VALUES (1)")
        connection.commit()
        return
    with connection.pipeline():
        connection.execute("INSERT INTO probe VALUES (1)")
        connection.commit()


def test_a_transaction_that_failed_is_no_lost_commit(database: Database, proxy: Proxy) -> None:
    """Its COMMIT rolls it back: the cut proves nothing."""
    url = database.url.set(port=proxy.port, drivername="postgresql")
    connection = psycopg.connect(url.render_as_string(hide_password=False))
    proxy.set(LOST_COMMIT)
    with pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("INSERT INTO nowhere VALUES (1)")
    connection.pgconn.send_query(b"COMMIT")

    served = f"pg_stat_activity WHERE pid = {connection.info.backend_pid}"
    wait_for(lambda: count(database, served) == 0, "the end of the connection")

    assert (proxy.num_touched, proxy.num_lost) == (1, 0)
    connection.close()

"""Those who look often are told whether anything may have been committed."""

import pytest

from app.models.changes import Changes
from app.models.database import Database
from tests.integration import makers

pytestmark = [pytest.mark.integration, pytest.mark.databases]


def test_what_anybody_commits_makes_a_new_moment(database: Database) -> None:
    changes, other = Changes(database), Database(str(database.url))
    before = changes.moment()

    makers.add_job(database)
    between = changes.moment()
    makers.add_job(other)
    after = changes.moment()
    other.close()

    assert before != between
    assert between != after


def test_moments_in_which_nothing_is_committed_are_the_same_on_sqlite_alone(
    database: Database,
) -> None:
    makers.add_job(database)
    changes = Changes(database)
    before = changes.moment()
    with database.read() as tx:
        tx.exec_driver_sql("SELECT count(*) FROM jobs")

    assert (changes.moment() == before) is database.is_sqlite


def test_a_broken_connection_makes_a_new_moment_and_is_replaced(database: Database) -> None:
    changes = Changes(database)
    before = changes.moment()
    if database.is_sqlite:
        changes._held.driver_connection.close()

    broken = changes.moment()

    assert broken != before
    assert (changes.moment() == changes.moment()) is database.is_sqlite

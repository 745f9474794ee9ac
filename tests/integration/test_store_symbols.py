"""Context memory in the store: versions, sharing by scope, tenants, limits, age."""

import time
from typing import Any

import pytest

from app.coding import memory
from app.errors import NotFound
from app.models import claims, keys, sessions, symbols
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Memo, NewSymbol, Symbol
from tests.integration import makers

pytestmark = pytest.mark.integration


def make(name: str, code: str = "") -> NewSymbol:
    return NewSymbol(name, "function", "python", code or f"def {name}(): pass")


def keep(db: Database, *new: NewSymbol, **changes: Any) -> None:
    """Stores symbols as a settled job would."""
    fields: dict[str, Any] = {"tenant_id": DEFAULT_TENANT, "job_id": "job_1"}
    fields |= {"session_id": None, "scope": None, "symbols": new, "max_symbols": 500}
    memo = Memo(**(fields | changes))
    with db.write() as tx:
        symbols.store(tx, memo)


def see(db: Database, tenant_id: str = DEFAULT_TENANT, **place: Any) -> list[Symbol]:
    return memory.retrieve(memory.Scope(db, tenant_id, **place))


def names(found: list[Symbol]) -> list[str]:
    return sorted(symbol.name for symbol in found)


@pytest.fixture
def session(database: Database) -> str:
    return sessions.create(database, DEFAULT_TENANT, None).id


def test_a_changed_symbol_is_a_new_version_and_the_same_code_is_not(
    database: Database, session: str
) -> None:
    for code in ("def f(): return 1", "def f(): return 1", "def f(): return 2"):
        keep(database, make("f", code), session_id=session)

    versions = symbols.list_versions(database, DEFAULT_TENANT, session, "f")

    assert [(v.version, v.is_current) for v in versions] == [(2, True), (1, False)]
    assert [symbol.code for symbol in see(database, session_id=session)] == ["def f(): return 2"]


def test_a_symbol_is_seen_elsewhere_through_its_scope_and_not_otherwise(
    database: Database, session: str
) -> None:
    other = sessions.create(database, DEFAULT_TENANT, None).id
    keep(database, make("shared"), session_id=session, scope="project")
    keep(database, make("own"), session_id=session)

    assert names(see(database, session_id=other)) == []
    assert names(see(database, session_id=other, name="project")) == ["shared"]
    assert names(see(database, session_id=other, name="elsewhere")) == []
    assert names(see(database, session_id=session)) == ["own", "shared"]


def test_a_scope_goes_on_showing_what_was_shared_when_its_session_has_a_newer_version(
    database: Database, session: str
) -> None:
    keep(database, make("f", "shared"), session_id=session, scope="project")
    for number in range(symbols.MAX_VERSIONS + 5):
        keep(database, make("f", f"own {number}"), session_id=session)

    assert [each.code for each in see(database, name="project")] == ["shared"]
    assert [each.code for each in see(database, session_id=session)] == ["own 24"]
    assert [each.code for each in see(database, session_id=session, name="project")] == ["own 24"]
    versions = symbols.list_versions(database, DEFAULT_TENANT, session, "f")
    assert len(versions) == symbols.MAX_VERSIONS + 1  # and the one that is shared

    keep(database, make("f", "shared again"), session_id=session, scope="project")

    assert [each.code for each in see(database, name="project")] == ["shared again"]


def test_the_same_code_again_is_shared_if_asked_and_as_good_as_new(
    database: Database, session: str
) -> None:
    keep(database, make("f"), session_id=session)
    makers.age(database, "symbols", "created_at", 40 * 86_400)
    keep(database, make("f"), session_id=session, scope="project")
    keep(database, make("f"), session_id=session)

    assert names(see(database, name="project")) == ["f"]

    keep(database, make("f"), session_id=session, scope="elsewhere")

    assert names(see(database, name="project")) == names(see(database, name="elsewhere")) == ["f"]


def test_the_same_code_again_is_the_latest_and_keeps_its_version_and_its_pin(
    database: Database, session: str
) -> None:
    keep(database, make("double"), make("triple"), session_id=session)
    symbols.pin(database, DEFAULT_TENANT, ("session_id", session), "double", pinned=True)
    keep(database, make("double"), session_id=session, job_id="job_2")
    symbols.pin(database, DEFAULT_TENANT, ("session_id", session), "double", pinned=False)

    (latest, _) = see(database, session_id=session)
    keep(database, make("half"), session_id=session, max_symbols=2)

    assert (latest.name, latest.version, latest.job_id) == ("double", 1, "job_1")
    assert names(see(database, session_id=session)) == ["double", "half"]


def test_a_pin_in_a_scope_holds_beyond_the_limit_and_the_age_of_its_session(
    database: Database, session: str
) -> None:
    keep(database, make("f", "shared"), session_id=session, scope="project")
    keep(database, make("f", "own"), session_id=session)
    symbols.pin(database, DEFAULT_TENANT, ("scope", "project"), "f", pinned=True)

    keep(database, make("a"), make("b"), make("c"), session_id=session, max_symbols=2)

    assert [each.code for each in see(database, name="project")] == ["shared"]

    makers.age(database, "symbols", "created_at", 40 * 86_400)
    symbols.forget(database, before=time.time() - 30 * 86_400)

    assert [each.code for each in see(database, session_id=session)] == ["shared"]


def test_forgetting_in_a_scope_leaves_the_session_what_was_its_own(
    database: Database, session: str
) -> None:
    keep(database, make("f", "own"), make("g", "own g"), session_id=session)
    keep(database, make("f", "shared"), make("g", "shared g"), session_id=session, scope="project")

    symbols.delete(database, DEFAULT_TENANT, ("scope", "project"), "f")

    assert sorted(each.code for each in see(database, session_id=session)) == ["own", "shared g"]

    symbols.delete_place(database, DEFAULT_TENANT, ("scope", "project"))

    assert sorted(each.code for each in see(database, session_id=session)) == ["own", "own g"]


def test_another_tenant_sees_nothing_through_the_same_scope(
    database: Database, session: str
) -> None:
    keys.create(database, "n", "stranger")
    keep(database, make("f"), session_id=session, scope="project")

    assert see(database, "stranger", name="project") == []
    assert see(database, "stranger", session_id=session) == []
    with pytest.raises(NotFound):
        symbols.list_versions(database, "stranger", session, "f")


def test_a_session_s_own_symbol_wins_over_a_shared_one(database: Database, session: str) -> None:
    other = sessions.create(database, DEFAULT_TENANT, None).id
    keep(database, make("f", "mine"), session_id=session)
    keep(database, make("f", "theirs"), session_id=other, scope="project")

    seen = see(database, session_id=session, name="project")

    assert [symbol.code for symbol in seen] == ["mine"]


def test_the_oldest_symbols_that_nobody_pinned_make_room(database: Database, session: str) -> None:
    keep(database, make("pinned"), make("old"), session_id=session)
    symbols.pin(database, DEFAULT_TENANT, ("session_id", session), "pinned", pinned=True)

    keep(database, make("a"), make("b"), session_id=session, max_symbols=3)

    assert names(see(database, session_id=session)) == ["a", "b", "pinned"]


def test_old_symbols_are_forgotten_unless_pinned(database: Database, session: str) -> None:
    keep(database, make("pinned"), make("old"), session_id=session)
    symbols.pin(database, DEFAULT_TENANT, ("session_id", session), "pinned", pinned=True)
    makers.age(database, "symbols", "created_at", 40 * 86_400)
    keep(database, make("new"), session_id=session)

    assert names(see(database, session_id=session)) == ["new", "pinned"]
    assert symbols.forget(database, before=time.time() - 30 * 86_400) == 1
    assert names(see(database, session_id=session)) == ["new", "pinned"]


def test_a_session_takes_its_symbols_with_it(database: Database, session: str) -> None:
    keep(database, make("f"), session_id=session, scope="project")

    sessions.delete(database, DEFAULT_TENANT, session)

    assert see(database, name="project") == []


def test_a_late_attempt_leaves_no_symbol(database: Database, session: str) -> None:
    holder = makers.add_worker(database)
    makers.add_job(database, session_id=session, kind="code")
    (job,) = makers.take(database, holder)
    memo = Memo(DEFAULT_TENANT, job.id, session, None, (make("f"),), 500)
    late = makers.succeed(job)
    claims.release(database, [(job.id, job.attempt)])

    claims.settle(database, [type(late)(**(vars(late) | {"memo": memo}))])

    assert see(database, session_id=session) == []

"""Looks into the store are as rare as they can be without missing anything for long."""

from app.workers.looks import UNCHANGED_SECONDS, Looks


class Store:
    """A clock and a store's moments, both set by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.version = 1

    def moment(self) -> object:
        return self.version

    def make_looks(self, seconds: float) -> Looks:
        return Looks(self, seconds, lambda: self.now)


def test_the_first_look_is_due_and_the_next_after_its_seconds() -> None:
    store = Store()
    looks = store.make_looks(0.1)

    assert looks.is_due()
    store.version += 1
    store.now += 0.05
    assert not looks.is_due()
    store.now += 0.06
    assert looks.is_due()


def test_where_nothing_was_committed_it_waits_for_longer_but_not_for_ever() -> None:
    store = Store()
    looks = store.make_looks(0.1)
    assert looks.is_due()

    store.now += 0.2
    assert not looks.is_due()
    store.now += UNCHANGED_SECONDS
    assert looks.is_due()


def test_what_is_committed_right_after_a_look_is_seen_by_the_next() -> None:
    store = Store()
    looks = store.make_looks(0.1)
    assert looks.is_due()

    store.version += 1
    store.now += 0.11
    assert looks.is_due()
    store.now += 0.11
    assert not looks.is_due()


def test_after_a_find_the_next_look_is_due_at_once() -> None:
    looks = Store().make_looks(0.1)
    assert looks.is_due()

    looks.hasten()

    assert looks.is_due()
    assert not looks.is_due()

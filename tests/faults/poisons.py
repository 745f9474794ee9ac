"""Requests that kill, hang or spoil the worker that runs them, among others."""

import time
from concurrent.futures import ThreadPoolExecutor

from tests.faults import endings
from tests.faults.injections import MIN_IN_FLIGHT, Inject, Injection, Scene, wait_crowded
from tests.faults.sent import Sent
from tests.faults.stage import LOOK_SECONDS, MAX_ATTEMPTS, PATIENCE_SECONDS, Stage
from tests.integration.workplace import wait_for

_COMPANY = MIN_IN_FLIGHT + 2
_CALLERS = 4
_COMPANY_TOKENS = 24  # over a second: they run yet when the last one is submitted


def poison(kind: str, marker: str) -> Inject:
    """F03 and F04 (kills its worker), F22 (never returns): fails after exactly max_attempts, all
    but the first alone."""

    def inject(scene: Scene) -> Injection:
        wait_crowded(scene.stage)
        stage, moment = scene.stage, time.monotonic()
        _bring_company(scene)
        sent = scene.clients.submit(marker, code="worker_crashed")
        wait_for(
            lambda: _read_state(stage, sent) == "failed",
            f"the end of {marker}",
            PATIENCE_SECONDS,
            every=LOOK_SECONDS,
        )
        first, *later = _list_crashes(stage, sent)
        for slot, epoch, _, _ in later:
            company = _count_crashed(stage, slot, epoch)
            assert company == 1, f"I11: {kind}: a suspect ran beside {company - 1} others"
        assert len(later) + 1 == MAX_ATTEMPTS, f"I4: {kind} crashed {len(later) + 1} times"
        in_flight = _count_crashed(stage, first[0], first[1])
        hung = max(ended - claimed for _, _, claimed, ended in later)
        return Injection(kind, moment, in_flight, len(later) + 1, round(hung, 3))

    return inject


def _bring_company(scene: Scene) -> None:
    """Jobs that go before the load's and its suspects: whoever takes the next one has these, too,
    also a worker that another fault has just left without any."""
    with ThreadPoolExecutor(_CALLERS) as pool:
        asking = [
            pool.submit(
                scene.clients.submit, "company", max_tokens=_COMPANY_TOKENS, ignore_eos=True
            )
            for _ in range(_COMPANY)
        ]
    for each in asking:
        each.result()


def _read_state(stage: Stage, sent: Sent) -> object:
    return stage.list_rows("SELECT state FROM jobs WHERE id = :id", id=sent.job_id)[0][0]


def _list_crashes(stage: Stage, sent: Sent) -> list[tuple[str, int, float, float]]:
    """(slot, epoch, claimed at, ended at) of each attempt that died, the first one first."""
    asked = (
        "SELECT slot, epoch, claimed_at, ended_at FROM attempts "
        "WHERE job_id = :id AND outcome = 'crashed' ORDER BY attempt"
    )
    return [tuple(row) for row in stage.list_rows(asked, id=sent.job_id)]


def _count_crashed(stage: Stage, slot: str, epoch: int) -> int:
    asked = "SELECT count(*) FROM attempts WHERE slot = :s AND epoch = :e AND outcome = 'crashed'"
    return stage.ask(asked, s=slot, e=epoch)


def spoil(kind: str, marker: str, code: str) -> Inject:
    """F23 (out of memory alone) and F26 (NaN): that request fails with its code, its neighbours
    do not; the worker lives."""

    def inject(scene: Scene) -> Injection:
        wait_crowded(scene.stage)
        stage, moment = scene.stage, time.monotonic()
        _bring_company(scene)
        sent = scene.clients.submit(marker, code=code)
        wait_for(
            lambda: _read_state(stage, sent) == "failed",
            f"the end of {marker}",
            PATIENCE_SECONDS,
            every=LOOK_SECONDS,
        )
        return Injection(kind, moment, _count_company(stage, sent), _count_runs(stage, sent, code))

    return inject


def _count_runs(stage: Stage, sent: Sent, code: str) -> int:
    """How often the job was run until it failed with `code`; 0 if it failed by another."""
    asked = "SELECT attempt, error FROM jobs WHERE id = :id"
    attempt, error = stage.list_rows(asked, id=sent.job_id)[0]
    return int(attempt) if endings.read_code({"error": error}) == code else 0


def _count_company(stage: Stage, sent: Sent) -> int:
    """Jobs that the same worker had at some time while it had this one."""
    asked = (
        "SELECT count(*) FROM jobs o JOIN jobs j ON j.slot = o.slot AND j.epoch = o.epoch "
        "WHERE j.id = :id AND o.claimed_at <= j.finished_at "
        "AND (o.finished_at IS NULL OR o.finished_at >= j.claimed_at)"
    )
    return stage.ask(asked, id=sent.job_id)

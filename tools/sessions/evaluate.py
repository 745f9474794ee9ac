"""Scores coding sessions: every turn is a code job of one session, answered by the shipped model.

python -m tools.sessions.evaluate [--cases evals/sessions/tuning.jsonl] [--wrong]

The way is the service's own: store, claim, prompt, engine, review, settle, memory, in this process
with a database of its own. The answers are run in a sandboxed process. evals/sessions/final.jsonl
is scored once per release; docs/coding.md keeps the figures.
"""

import argparse
import json
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import settings
from app.models import claims, jobs, migrate, sessions, workers
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.models.states import WorkerState
from app.wire.rows import Job, NewJob
from app.workers import loading, orders, solo
from app.workers.coder import Bench, Coder
from app.workers.orders import Order
from tools.demo import execute

CASES = Path(__file__).parents[2] / "evals" / "sessions" / "tuning.jsonl"
LOCALES = ("en", "zh", "ja")


@dataclass(frozen=True)
class Talk:
    """One session: its case, the finished jobs, and what is wrong with their code."""

    case: dict[str, Any]
    jobs: list[Job]
    fault: str | None


class Desk:
    """A worker without Redis: the shipped model's engine and the real store."""

    def __init__(self, folder: Path) -> None:
        self.options = settings.load()
        self.model = self.options.models[0]
        self.db = Database(f"sqlite:///{folder}/autoglm.db")
        migrate.upgrade(self.db)
        loaded = loading.load(self.model, "cpu")
        self.engine = loaded.engine
        form, memory = solo.read_form(self.model), self.options.memory
        self.coder = Coder(Bench(self.db, loaded.tokenizer, loaded.max_context, form, memory))
        identity = workers.Identity("eval/cpu:0", self.model.name, "eval", 1, 1)
        self.holder, _ = workers.enroll(self.db, identity, max_attempts=3)
        workers.update(self.db, self.holder, state=WorkerState.READY.value)

    def open_session(self) -> str:
        return sessions.create(self.db, DEFAULT_TENANT, None).id

    def ask(self, prompt: str, session_id: str, scope: str | None = None) -> Job:
        """One code job, from its row to its result."""
        request: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}]}
        request |= {"sampling": {}} | ({"scope": scope} if scope else {})
        new = NewJob(
            tenant_id=DEFAULT_TENANT,
            key_id=None,
            model=self.model.name,
            request=request,
            kind="code",
            session_id=session_id,
        )
        made, _ = jobs.create(self.db, new)
        (job,) = claims.claim(self.db, self.holder, self.model.name, limit=1, may_isolate=True)
        self._run(job, self.coder.prepare(job))
        return jobs.get(self.db, DEFAULT_TENANT, made.id)

    def _run(self, job: Job, order: Order) -> None:
        self.engine.add(order.request)
        outputs = self.engine.step()
        while not outputs:
            outputs = self.engine.step()
        verdict = self.coder.review(job, orders.conclude(order, outputs[0], {}))
        if isinstance(verdict, Order):
            self._run(job, verdict)
        else:
            claims.settle(self.db, [verdict])


def read_cases(path: Path) -> list[dict[str, Any]]:
    """The sessions of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def hold(desk: Desk, case: dict[str, Any]) -> Talk:
    """Runs one session and its checks."""
    session_id = desk.open_session()
    done = [desk.ask(turn, session_id) for turn in case["turns"]]
    checks = [execute.Check(**check) for check in case["checks"]]
    codes = [read_code(job) for job in done]
    fault = "no code" if "" in codes else execute.find_fault(codes, checks)
    return Talk(case, done, fault)


def read_code(job: Job) -> str:
    """The code of a finished job; empty if it has none."""
    coding = job.result.coding if job.result else None
    return str((coding or {}).get("code") or "")


def tabulate(talks: list[Talk]) -> str:
    """Sessions fully right, by language."""
    held = Counter(talk.case["language"] for talk in talks)
    right = Counter(talk.case["language"] for talk in talks if talk.fault is None)
    rows = [f"{name:4} {right[name]:3} of {held[name]:3}" for name in LOCALES]
    share = 100 * right.total() / max(1, held.total())
    asked_twice = sum(read_asked(job) == 2 for talk in talks for job in talk.jobs)
    rows.append(f"all  {right.total():3} of {held.total():3}  {share:.1f} %")
    return "\n".join([*rows, f"asked again: {asked_twice}"])


def read_asked(job: Job) -> int:
    """How often the model was asked."""
    return int(((job.result.coding if job.result else None) or {}).get("asked", 0))


def main() -> None:
    """Prints the table, and with --wrong every wrong session."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=Path, default=CASES)
    parser.add_argument("--wrong", action="store_true", help="print what was wrong")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        talks = [hold(desk, case) for case in read_cases(options.cases)]
        desk.db.close()
    for talk in talks if options.wrong else ():
        if talk.fault is not None:
            codes = [read_code(job) for job in talk.jobs]
            print(talk.case["id"], talk.case["turns"], codes, talk.fault, sep="\n  ")
    print(tabulate(talks))


if __name__ == "__main__":
    main()

"""Breaks the service on purpose, one named way at a time, and shows that the suite notices.

    make mutants                    all of them
    python -m tools.mutants NAME    some

Each mutation is applied to a copy of the program; the tests named for it must then fail through an
invariant ("I3: ..."), and through no import, syntax or type error beside it. Some of those whose
statements or locks are others on PostgreSQL must be noticed on either database. The exit status is 0
if all are.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("app", "tests", "tools", "evals", "pyproject.toml")
MACHINE = "tests/faults/test_machine.py"
_KINDS = "Import|ModuleNotFound|Name|UnboundLocal|Type|Attribute|Syntax|Indentation|Key|Index"
_BROKEN = re.compile(rf"^(?:E|[ |+]*\|) +((?:{_KINDS})Error)\b", re.MULTILINE)
_INVARIANT = re.compile(r"^E .*?\b(I\d+): ([^\n]{0,90})", re.MULTILINE)
_LIMIT_SECONDS = 600  # a machine that others use, too


@dataclass(frozen=True)
class Mutant:
    """One fault in the program: pairs of (file, old text, new text), each found exactly once."""

    name: str
    edits: tuple[tuple[str, str, str], ...]
    tests: str = MACHINE
    expected: tuple[str, ...] = ()  # invariants of which one must be named
    databases: tuple[str, ...] = ("sqlite",)  # each must notice it


_CLAIMS = "app/models/claims.py"
_PICKS = "app/models/picks.py"
_TWINS = "app/models/twins.py"
_JOBS = "app/models/jobs.py"
_BOTH = ("sqlite", "postgresql")  # other statements or locks, and found there in few examples
MUTANTS = (
    Mutant(
        "no attempt in the fenced commit",
        (
            (
                _CLAIMS,
                "if (row.id, row.attempt) in fence]",
                "if row.id in {name for name, _ in fence}]",
            ),
            (
                _CLAIMS,
                "held = [offered[row.id, row.attempt] for row in rows.values()]",
                "held = [o for o in {o.job_id: o for o in outcomes}.values() if o.job_id in rows]",
            ),
        ),
        expected=("I3", "I5"),
        databases=_BOTH,
    ),
    Mutant(
        "no unique key on results",
        (
            (
                "app/migrations/versions/v0001_initial.py",
                '        sa.PrimaryKeyConstraint("job_id"),\n',
                "",
            ),
        ),
        expected=("I3",),
        databases=_BOTH,
    ),
    Mutant(
        "publish before commit",
        (
            (
                _JOBS,
                "def create(db: Database, new: NewJob, *,",
                "def create(db: Database, new: NewJob, *, publish: Any = str,",
            ),
            (
                _JOBS,
                "        return place(tx, new, max_queued=max_queued), True\n",
                "        job = place(tx, new, max_queued=max_queued)\n"
                "        publish(job)\n"
                "        return job, True\n",
            ),
            (
                "app/api/jobs.py",
                "    job, is_new = jobs.create(current.db, _read_job(body), "
                "max_queued=current.backlog.find_cap())\n"
                "    if is_new:\n        current.publisher.hint(job.model, [job.id])\n",
                "    hint = lambda job: current.publisher.hint(job.model, [job.id])\n"
                "    cap = current.backlog.find_cap()\n"
                "    job, _ = jobs.create(current.db, _read_job(body), max_queued=cap, publish=hint)\n",
            ),
        ),
        tests="tests/faults/test_hints.py",
        expected=("I15",),
        databases=_BOTH,
    ),
    Mutant(
        "no sweeper",
        (
            (
                "app/workers/sweeper.py",
                "self._attempt(self._recover_workers)\n",
                "\n",
            ),
            (
                "app/workers/sweeper.py",
                "for step in (self._hint_models, self._push_batches, self._trim_queues):",
                "for step in (self._push_batches, self._trim_queues):",
            ),
        ),
        expected=("I2",),
    ),
    Mutant(
        "no lease takeover",
        (
            (
                "app/models/workers.py",
                "        recovered = _recover(tx, claims.Holder(identity.slot, epoch - 1), max_attempts, is_crash)\n",
                "        recovered = Recovery()\n",
            ),
        ),
        expected=("I12", "I2"),
        databases=_BOTH,
    ),
    Mutant(
        "cancel not checked at commit",
        (
            (
                _CLAIMS,
                "return outcome.state == JobState.SUCCEEDED and not withdrawals.is_withdrawn(row)",
                "return outcome.state == JobState.SUCCEEDED",
            ),
        ),
        expected=("I13",),
        databases=_BOTH,
    ),
    Mutant(
        "session order ignored",
        (
            (
                _PICKS,
                "    in_turn = sa.or_(jobs.c.session_id.is_(None), ~blocked)\n",
                "    in_turn = sa.or_(jobs.c.session_id.is_(None), blocked, ~blocked)\n",
            ),
        ),
        expected=("I9",),
    ),
    Mutant(
        "poison not isolated",
        (
            (
                _PICKS,
                "    if rows and rows[0].crashes:\n",
                "    if rows and rows[0].crashes < 0:\n",
            ),
            (
                _PICKS,
                "for i, row in enumerate(rows) if row.crashes)",
                "for i, row in enumerate(rows) if row.crashes < 0)",
            ),
        ),
        expected=("I11",),
        databases=_BOTH,
    ),
    Mutant(
        "crashes are not counted",
        ((_CLAIMS, "crashes=jobs.c.crashes + crashes", "crashes=jobs.c.crashes"),),
        expected=("I4", "I11"),
    ),
    Mutant(
        "a dead worker may claim",
        ((_CLAIMS, "        if not _may_claim(tx, holder):\n", "        if holder is None:\n"),),
        expected=("I12",),
        databases=_BOTH,
    ),
    Mutant(
        "a kill after a stop counts",
        (
            (
                "app/models/workers.py",
                "    return tx.execute(asked).scalar_one_or_none() != WorkerState.STOPPING\n",
                "    return True\n",
            ),
        ),
        expected=("I4",),
    ),
    Mutant(
        "successes are not counted in their batch",
        (
            (
                "app/models/successes.py",
                "completed=batches.c.completed + len(done),",
                "completed=batches.c.completed,",
            ),
        ),
        expected=("I6",),
        databases=_BOTH,
    ),
    Mutant(
        "a job of any tenant may be cancelled",
        (
            (
                "app/models/jobs.py",
                "    owned = (jobs.c.id == job_id, jobs.c.tenant_id == tenant_id)\n"
                "    with db.write() as tx:\n        cancel_where(",
                "    owned = (jobs.c.id == job_id,)\n"
                "    with db.write() as tx:\n        cancel_where(",
            ),
        ),
        expected=("I8",),
    ),
    Mutant(
        "the idempotency key's body is not compared",
        (
            (
                "app/models/jobs.py",
                "    if (row.endpoint, row.request_hash) != (new.endpoint, new.request_hash):\n",
                "    if row.endpoint != new.endpoint:\n",
            ),
        ),
        expected=("I10",),
        databases=_BOTH,
    ),
    Mutant(
        "nobody takes the place of a failed line",
        ((_CLAIMS, "    twins.free(tx, groups)\n", ""),),
        expected=("I16",),
    ),
    Mutant(
        "identical lines run side by side",
        ((_TWINS, "row.update(is_twin=True, held=True)", "row.update(is_twin=False)"),),
        expected=("I16",),
        databases=_BOTH,
    ),
    Mutant(
        "twins are not counted in their batch",
        ((_TWINS, '        "completed": count,\n', '        "completed": 0 * count,\n'),),
        expected=("I6",),
        databases=_BOTH,
    ),
    Mutant(
        "a job expires by the wall clock",
        (("app/models/sweeps.py", "<= clock.earliest()", "<= clock.latest()"),),
        expected=("I14",),
    ),
)


def apply(mutant: Mutant, root: Path) -> None:
    """Edits the files below `root`; ValueError if a text is not there exactly once."""
    for name, old, new in mutant.edits:
        path = root / name
        content = path.read_text()
        if content.count(old) != 1:
            raise ValueError(f"{mutant.name}: {name} has {content.count(old)} times: {old!r}")
        path.write_text(content.replace(old, new))


def try_mutant(mutant: Mutant) -> str | None:
    """What the suite said about it: the invariant it named, of each database; None if one noticed
    nothing, or failed for another reason."""
    with tempfile.TemporaryDirectory(prefix="autoglm-mutant-") as folder:
        root = Path(folder)
        for name in COPIED:
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, root / name)
        apply(mutant, root)
        verdicts = [_try_on(kind, mutant, root) for kind in mutant.databases]
    return None if None in verdicts else "; ".join(filter(None, verdicts))


def _try_on(kind: str, mutant: Mutant, root: Path) -> str | None:
    said = _run_tests(mutant, kind, root)
    verdict = judge(said, mutant.expected)
    if verdict is None:
        broken = _BROKEN.search(said)
        print(said[-3000:], f"\n{kind}: {broken[1] if broken else 'none'}", file=sys.stderr)
    return verdict


def judge(said: str, expected: Sequence[str]) -> str | None:
    """The invariant that a failed run of tests names; None if that is none of `expected`, or if a
    program that does not fit together failed beside it."""
    found = _INVARIANT.search(said)
    if found is None or found[1] not in expected or _BROKEN.search(said):
        return None
    return f"{found[1]}: {found[2]}"


def _run_tests(mutant: Mutant, kind: str, root: Path) -> str:
    options = ["-q", "-x", "--tb=short", "--hypothesis-profile=unshrunk", "-p", "no:cacheprovider"]
    options.append(f"--timeout={_LIMIT_SECONDS - 60}")  # pytest's own: it tells where it was
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, mutant.tests, "-k", kind],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_SECONDS,
    )
    return done.stdout if done.returncode == 1 else ""


def main(names: list[str]) -> int:
    """Tries the mutants; the number that survived."""
    survivors = 0
    for mutant in MUTANTS:
        if names and mutant.name not in names:
            continue
        started = time.monotonic()
        verdict = try_mutant(mutant)
        survivors += verdict is None
        seconds = time.monotonic() - started
        print(f"{mutant.name:45} {seconds:5.0f} s  {verdict or 'SURVIVED'}", flush=True)
    print(f"{survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

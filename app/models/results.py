"""Lines of a batch that have ended, for readers that do not wait for the batch's end."""

from typing import Any

import sqlalchemy as sa

from app.models import jobs as job_store
from app.models import sizes
from app.models.database import Database
from app.models.tables import jobs
from app.wire.endings import Cursor, Ending


def list_page(
    db: Database, batch_id: str, *, after: Cursor, limit: int
) -> tuple[list[Ending], bool]:
    """Lines of the batch that have ended, in the order they did, beginning after a cursor, as far as
    they are one page (app.models.sizes), and whether more follow."""
    later = sa.or_(jobs.c.ended_no > after.group, jobs.c.line_no > after.line)
    found = job_store.select_answers(jobs.c.ended_no).where(
        jobs.c.batch_id == batch_id, jobs.c.ended_no >= after.group, later
    )
    with db.look() as tx:
        ordered = found.order_by(jobs.c.ended_no, jobs.c.line_no)
        number, has_more = sizes.fit(tx, ordered, limit)
        page = tx.execute(ordered.limit(number)).mappings() if number else ()
        rows = [dict(row) for row in page]
    return [_read(row) for row in rows], has_more


def _read(row: dict[str, Any]) -> Ending:
    cursor = Cursor(row.pop("ended_no"), row["line_no"])
    return Ending(cursor, job_store.read_row(row))

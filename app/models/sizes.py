"""Pages in bytes: one line may have megabytes of log-probabilities, and a page is held in memory."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.models.tables import jobs, results

PAGE_BYTES = 4 * 1024 * 1024  # as stored, in characters; about twice that as JSON of a client's
_ANSWER = (results.c.text, results.c.details, results.c.coding)


def fit(
    tx: Connection, ordered: sa.Select[object], limit: int, *, has_requests: bool = False
) -> tuple[int, bool]:
    """How many of the first jobs of a query, beside their results, make a page: at most `limit`, and
    of PAGE_BYTES, but one at least. And whether more follow."""
    columns = (*_ANSWER, jobs.c.request) if has_requests else _ANSWER
    lengths = (sa.func.coalesce(sa.func.length(sa.cast(each, sa.Text)), 0) for each in columns)
    size = sum(lengths, start=sa.literal_column("0", sa.Integer))
    sized = ordered.with_only_columns(size, maintain_column_froms=True).limit(limit + 1)
    sizes = tx.execute(sized).scalars().all()
    number, left = 0, PAGE_BYTES
    for each in sizes[:limit]:
        left -= each
        if number and left < 0:
            break
        number += 1
    return number, len(sizes) > number

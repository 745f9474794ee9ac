"""`autoglm jobs`: list, read, await and cancel single jobs on a server."""

import time
from typing import Any

import click

from app.cli import client, server

_PAGE = 100
_PAUSE_SECONDS = 1.0  # a server may allow no longer wait
_STATES = ("queued", "running", "succeeded", "failed", "cancelled", "expired")
_JOB = click.argument("job_id")


@click.group("jobs", help="jobs.help")
def command() -> None:
    """Prints JSON, one object a line."""


@command.command("list", help="jobs.help_list")
@click.option("--status", type=click.Choice(_STATES), help="jobs.help_status")
@click.option("--session", "session_id", help="jobs.help_session")
@click.option("--batch", "batch_id", help="jobs.help_batch")
@click.option("--model", help="jobs.help_model")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="jobs.help_limit"
)
@server.options
def list_jobs(
    limit: int, url: str | None, api_key: str | None, timeout: float | None, **filters: str | None
) -> None:
    """The newest first."""
    wanted: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    with server.connect(url, api_key, timeout) as api:
        while limit > 0:
            page = api.ask("GET", "/v1/jobs", params=wanted | {"limit": min(limit, _PAGE)})
            for job in page["data"]:
                server.show(job)
            limit -= len(page["data"])
            if not page["has_more"]:
                return
            wanted["after"] = page["last_id"]


@command.command("show", help="jobs.help_show")
@_JOB
@server.options
def show(job_id: str, **given: Any) -> None:
    with server.connect(**given) as api:
        server.show(api.ask("GET", _path(job_id)))


@command.command("wait", help="jobs.help_wait")
@_JOB
@server.options
def wait(job_id: str, **given: Any) -> None:
    """Exits with 1 for a job that did not succeed."""
    with server.connect(**given) as api:
        job = api.ask("GET", _path(job_id))
        while job["finished_at"] is None:
            time.sleep(_PAUSE_SECONDS)
            job = api.ask("GET", _path(job_id))
    server.show(job)
    click.get_current_context().exit(0 if job["status"] == "succeeded" else 1)


@command.command("cancel", help="jobs.help_cancel")
@_JOB
@server.options
def cancel(job_id: str, **given: Any) -> None:
    with server.connect(**given) as api:
        server.show(api.ask("POST", f"{_path(job_id)}/cancel"))


def _path(job_id: str) -> str:
    return f"/v1/jobs/{client.name_part(job_id)}"

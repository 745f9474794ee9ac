"""Results of a batch while it runs: pages, a stream of events, and the files as far as they are."""

from collections.abc import Callable, Iterator

import flask
from flask_openapi.blueprint import APIBlueprint

from app.api import answers, batches, context, events, schemas
from app.api.files import send_stored
from app.models import batches as batch_store
from app.models import files, jobs
from app.models.database import Database
from app.models.states import ENDED, JobState
from app.wire import endings, packing, render
from app.wire.rows import Batch, Job

INCOMPLETE = "X-Incomplete"
_PAGE_LINES = 200
_JSON_LINES = "application/jsonl"

routes = APIBlueprint(
    "results", __name__, abp_tags=[{"name": "batches"}], abp_responses=answers.CONTENTS
)


@routes.get(f"{batches.PATH}/<batch_id>/results", responses={"200": answers.ResultList})
def read_results(path: schemas.BatchPath, query: schemas.ResultPage) -> flask.Response:
    """Lines that have ended, in the order they did: a page, or with `Accept: text/event-stream` a
    stream that says `at_risk`, once if at all, and ends with `batch` when the batch has."""
    batch = batch_store.get(context.current().db, context.caller().tenant_id, path.batch_id)
    if _wants_events():
        last = flask.request.headers.get("Last-Event-ID") or query.after
        return events.answer(batch, _read_cursor(last, "Last-Event-ID"))
    after = _read_cursor(query.after, "after")
    return flask.jsonify(events.make_page(context.current().db, batch, after, query.limit))


def _wants_events() -> bool:
    offered = ("application/json", events.TYPE)
    return flask.request.accept_mimetypes.best_match(offered) == events.TYPE


def _read_cursor(text: str | None, param: str) -> endings.Cursor:
    return endings.Cursor.parse(text, param) if text else endings.Cursor()


@routes.get(f"{batches.PATH}/<batch_id>/output", responses={"200": {"content": {_JSON_LINES: {}}}})
def read_output(path: schemas.BatchPath, query: schemas.NoQuery) -> flask.Response:
    """The output file as far as it is: complete once the batch has ended."""
    return _answer_file(path.batch_id, lambda b: b.output_file_id, lambda j: _succeeded(j))


@routes.get(f"{batches.PATH}/<batch_id>/errors", responses={"200": {"content": {_JSON_LINES: {}}}})
def read_errors(path: schemas.BatchPath, query: schemas.NoQuery) -> flask.Response:
    """The error file as far as it is: complete once the batch has ended."""
    return _answer_file(path.batch_id, lambda b: b.error_file_id, lambda j: not _succeeded(j))


def _succeeded(job: Job) -> bool:
    return job.state == JobState.SUCCEEDED


def _answer_file(
    batch_id: str, name: Callable[[Batch], str | None], belongs: Callable[[Job], bool]
) -> flask.Response:
    current, caller = context.current(), context.caller()
    batch = batch_store.get(current.db, caller.tenant_id, batch_id)
    file_id = name(batch)
    if file_id is not None:
        return send_stored(files.get(current.db, caller.tenant_id, file_id))
    lines = () if batch.status in ENDED else _render(current.db, batch, belongs)
    response = flask.Response(lines, mimetype=_JSON_LINES)
    response.headers[INCOMPLETE] = "false" if batch.status in ENDED else "true"
    return response


def _render(db: Database, batch: Batch, belongs: Callable[[Job], bool]) -> Iterator[bytes]:
    """The lines that have ended, in the order of the input, as the file will have them."""
    last = 0
    while page := jobs.list_ended(db, batch.id, after_line=last, limit=_PAGE_LINES):
        for job in filter(belongs, page):
            line = render.output_line(job, events.explainer(batch))
            yield packing.pack_line(line)
        last = page[-1].line_no or 0

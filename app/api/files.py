"""/v1/files, as OpenAI's clients call it: uploads go to disk, contents come back as a stream."""

import contextlib
import re
from typing import Any

import flask
from flask_openapi.blueprint import APIBlueprint
from werkzeug.exceptions import RequestedRangeNotSatisfiable, UnsupportedMediaType

from app import clock
from app.api import answers, context, request, schemas, uploads
from app.errors import BadRequest, NotFound, TooLarge
from app.models import files
from app.wire import flaws, ids, objects
from app.wire.rows import File

PATH = "/v1/files"
FORM_BYTES = 1024 * 1024  # what the form may add to the file itself
_BATCH_SECONDS = 30 * 24 * 3600
_NAME_LENGTH = 255
_SEPARATORS = re.compile(r"[/\\]")
_LINE_PURPOSES = ("batch", "batch_output")  # files of JSON lines; of the others we know nothing
_JSON_LINES, _BYTES = "application/jsonl", "application/octet-stream"
_BOM = b"\xef\xbb\xbf"

routes = APIBlueprint(
    "files", __name__, abp_tags=[{"name": "files"}], abp_responses=answers.CONTENTS
)


@routes.post(PATH, responses={"200": answers.FileObject})
def create(query: schemas.NoQuery, form: schemas.FileForm) -> flask.Response:
    """Upload a file (multipart/form-data)."""
    request.refuse_repeated_parts()
    sink = _find_sink(form)
    filename = _clean(form.file.filename or "upload")
    if form.purpose == "batch":
        _check_batch_file(filename, sink)
    if (form.anchor is None) != (form.seconds is None):
        missing = "anchor" if form.anchor is None else "seconds"
        raise BadRequest("missing_required_parameter", param=f"expires_after[{missing}]")
    file = _describe(form, filename, sink)
    return flask.jsonify(objects.show_file(sink.record(context.current().db, file)))


def _clean(name: str) -> str:
    """A name without folders that can be stored and shown anywhere. We never use it as a path,
    whoever downloads the file may."""
    printable = "".join(char for char in name if char.isprintable())
    last = _SEPARATORS.split(printable)[-1][-_NAME_LENGTH:]
    return "upload" if last in ("", ".", "..") else last


def _find_sink(form: schemas.FileForm) -> uploads.Sink:
    """Where the file went; a form field of that name without a file name is no file."""
    sink: Any = getattr(form.file, "stream", None)
    if not isinstance(sink, uploads.Sink):
        values = {"expected": flaws.word("file"), "actual": flaws.word("string")}
        raise BadRequest("invalid_type", param="file", **values)
    return sink


def _check_batch_file(filename: str, sink: uploads.Sink) -> None:
    """Whether this can be JSONL at all; its lines are checked when a batch is made of it."""
    start = sink.read_first(64).removeprefix(_BOM).lstrip()
    if not filename.lower().endswith(".jsonl") or not start:
        raise BadRequest("batch_file_format")


def _describe(form: schemas.FileForm, filename: str, sink: uploads.Sink) -> File:
    caller, file_id, now = context.caller(), ids.make_file(), clock.latest()
    lifetime = form.seconds or (_BATCH_SECONDS if form.purpose == "batch" else None)
    return File(
        id=file_id,
        tenant_id=caller.tenant_id,
        key_id=caller.key_id,
        filename=filename,
        purpose=form.purpose,
        bytes=sink.size,
        sha256=sink.sha256,
        path=file_id,
        created_at=now,
        expires_at=None if lifetime is None else now + lifetime,
    )


@routes.get(PATH, responses={"200": answers.ListObject})
def list_files(query: schemas.FilePage) -> flask.Response:
    """The tenant's files."""
    page, has_more = files.list_page(
        context.current().db,
        context.caller().tenant_id,
        limit=query.limit,
        after=query.after,
        purpose=query.purpose,
        order=query.order,
    )
    return flask.jsonify(objects.show_list(list(map(objects.show_file, page)), has_more=has_more))


@routes.get(f"{PATH}/<file_id>", responses={"200": answers.FileObject})
def read(path: schemas.FilePath, query: schemas.NoQuery) -> flask.Response:
    """One file's description."""
    found = files.get(context.current().db, context.caller().tenant_id, path.file_id)
    return flask.jsonify(objects.show_file(found))


@routes.get(
    f"{PATH}/<file_id>/content",
    responses={"200": {"content": {_JSON_LINES: {}, _BYTES: {}}}},
)
def read_content(path: schemas.FilePath, query: schemas.NoQuery) -> flask.Response:
    """The bytes of a file, as a stream."""
    return send_stored(files.get(context.current().db, context.caller().tenant_id, path.file_id))


def send_stored(found: File) -> flask.Response:
    """A file's bytes; NotFound("file_content_missing") when they are gone."""
    _check_range(found.bytes)
    is_ours = found.purpose in _LINE_PURPOSES
    try:
        return flask.send_file(
            (context.current().files_dir / found.path).absolute(),
            mimetype=_JSON_LINES if is_ours else _BYTES,
            as_attachment=True,
            download_name=f"{found.id}.jsonl" if is_ours else found.filename,
            etag=found.sha256,
        )
    except FileNotFoundError as error:
        raise NotFound("file_content_missing", param="id", id=found.id) from error


def _check_range(size: int) -> None:
    """A Range that says nothing sensible (bytes=9-2), or asks for several parts at once, is answered
    with the whole, as are the last bytes of a file that has fewer.
    https://www.rfc-editor.org/rfc/rfc9110#section-14.2"""
    asked = flask.request.range
    if flask.request.headers.get("Range", "").replace(" ", "").rstrip("0") == "bytes=-":
        raise RequestedRangeNotSatisfiable(length=size)  # the last no bytes
    is_other = asked is None or asked.units != "bytes" or len(asked.ranges) != 1
    if is_other or (asked and asked.ranges[0][0] < -size):
        flask.request.environ.pop("HTTP_RANGE", None)


@routes.delete(f"{PATH}/<file_id>", responses={"200": answers.DeletedObject})
def delete(path: schemas.FilePath, query: schemas.NoQuery) -> flask.Response:
    """Delete a file and its bytes."""
    current = context.current()
    gone = files.delete(current.db, context.caller().tenant_id, path.file_id)
    (current.files_dir / gone.path).unlink(missing_ok=True)
    return flask.jsonify(objects.show_deleted("file", gone.id))


def prepare_upload() -> None:
    """Before the form is read: an upload may be larger than other bodies, and must be a form."""
    if flask.request.method != "POST" or flask.request.path.rstrip("/") != PATH:
        return
    limit = context.current().settings.limits.max_file_bytes
    flask.request.max_content_length = limit + FORM_BYTES
    if flask.request.mimetype != "multipart/form-data" or not request.is_plain():
        raise UnsupportedMediaType
    if (flask.request.content_length or 0) > limit + FORM_BYTES:
        raise TooLarge("file_too_large", param="file", limit=limit)


def discard_sinks(_error: BaseException | None) -> None:
    """Removes what an upload left behind that was refused, failed or broke off."""
    for sink in flask.g.pop("sinks", ()):
        with contextlib.suppress(OSError):
            sink.discard()

"""Jobs, sessions, turns, files, batches and lists as clients see them. Times are whole seconds."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.wire import callbacks, origins, render
from app.wire.rows import Batch, Choice, Delivery, File, Job, Result, Session, Symbol, Turn

_BATCH_TIMES = (
    "in_progress_at",
    "expires_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)


_PAUSABLE = ("validating", "in_progress")


def show_job(
    job: Job, explain: render.Explain, *, position: int | None = None, reason: str | None = None
) -> dict[str, Any]:
    """The job object. `position` and `reason` belong to a job that waits."""
    return {
        "id": job.id,
        "object": "job",
        "status": job.state,
        "kind": job.kind,
        "model": job.model,
        "session_id": job.session_id,
        "batch_id": job.batch_id,
        "custom_id": job.custom_id,
        "priority": job.priority,
        **{name: _seconds(getattr(job, name)) for name in _JOB_TIMES},
        "attempt": job.attempt,
        "cancel_requested": job.cancel_requested,
        "position": position,
        "reason": reason,
        **_show_outcome(job, explain),
        "trace_id": job.trace_id,
        "metadata": job.metadata,
    }


_JOB_TIMES = ("created_at", "queued_at", "started_at", "finished_at")


def _show_outcome(job: Job, explain: render.Explain) -> dict[str, Any]:
    result = job.result if job.state == "succeeded" else None
    return {
        "result": _show_result(result) if result else None,
        "usage": render.usage(result) if result else None,
        "provenance": result.provenance if result else None,
        "reused_from": origins.show(result).get("reused_from"),
        "error": render.failure(job, explain) if job.state == "failed" else None,
    }


def _show_result(result: Result) -> dict[str, Any]:
    """The first choice; with `n` > 1 all `choices` beside it; of a code job its code, symbols,
    checks, tree and context too."""
    shown = [_show_choice(choice) for choice in result.choices]
    others = {"choices": shown} if len(shown) > 1 else {}
    return {**shown[0], **others, **(result.coding or {})}


def _show_choice(choice: Choice) -> dict[str, Any]:
    found = {"text": choice.text, "finish_reason": choice.finish_reason}
    return found if choice.logprobs is None else {**found, "logprobs": choice.logprobs}


def _seconds(stamp: float | None) -> int | None:
    return None if stamp is None else int(stamp)


def show_session(session: Session) -> dict[str, Any]:
    """The session object."""
    return {
        "id": session.id,
        "object": "session",
        "num_turns": session.num_turns,
        "metadata": session.metadata,
        "created_at": int(session.created_at),
        "updated_at": int(session.updated_at),
    }


def show_turn(turn: Turn) -> dict[str, Any]:
    """One exchange of a session."""
    return {
        "object": "session.turn",
        "number": turn.turn_no,
        "job_id": turn.job_id,
        "messages": turn.messages,
        "answer": turn.answer,
        "pinned": turn.pinned,
        "created_at": int(turn.created_at),
    }


def show_symbol(symbol: Symbol) -> dict[str, Any]:
    """A function, class, variable or import of the context memory."""
    shown = ("name", "kind", "language", "version", "signature", "type", "value", "code")
    return {
        "id": f"sym_{symbol.id}",
        "object": "session.symbol",
        **{name: getattr(symbol, name) for name in shown},
        "session_id": symbol.session_id,
        "scope": symbol.scope,
        "job_id": symbol.job_id,
        "pinned": symbol.pinned,
        "created_at": int(symbol.created_at),
    }


def show_file(file: File) -> dict[str, Any]:
    """OpenAI's file object. Always `processed`: clients poll until they see it."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at),
        "expires_at": _seconds(file.expires_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def show_batch(batch: Batch) -> dict[str, Any]:
    """OpenAI's batch object, with ours after it: clients skip what they do not know."""
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": batch.model,
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "input_file_id": batch.input_file_id,
        "completion_window": batch.completion_window,
        "status": batch.status,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "created_at": int(batch.created_at),
        **{name: _seconds(getattr(batch, name)) for name in _BATCH_TIMES},
        "request_counts": {
            "total": batch.total,
            "completed": batch.completed,
            "failed": batch.failed,
        },
        "usage": _show_usage(batch),
        "metadata": batch.metadata,
        "paused": batch.paused_at is not None and batch.status in _PAUSABLE,
        "retried_from": batch.retried_from,
        "reused_lines": batch.reused_lines,
    }


def _show_usage(batch: Batch) -> dict[str, Any]:
    return {
        "input_tokens": batch.input_tokens,
        "input_tokens_details": {"cached_tokens": batch.cached_tokens},
        "output_tokens": batch.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": batch.input_tokens + batch.output_tokens,
    }


def show_delivery(delivery: Delivery) -> dict[str, Any]:
    """What was told to one URL, and how the last attempt went. No answer's text is ever kept."""
    return {
        "id": delivery.id,
        "object": "webhook.delivery",
        "event": delivery.type,
        "data": {"id": callbacks.name_object(delivery.type, delivery.object_id)},
        "url": delivery.url,
        "status": delivery.state,
        "attempts": delivery.attempts,
        "status_code": delivery.status_code,
        "reason": delivery.reason,
        "created_at": int(delivery.created_at),
        "next_attempt_at": int(delivery.next_at) if delivery.ended_at is None else None,
        "ended_at": _seconds(delivery.ended_at),
    }


def show_list(shown: Sequence[Mapping[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """A page as OpenAI writes it; an empty page names no ids."""
    return {
        "object": "list",
        "data": list(shown),
        "first_id": shown[0].get("id") if shown else None,
        "last_id": shown[-1].get("id") if shown else None,
        "has_more": has_more,
    }


def show_deleted(kind: str, object_id: str) -> dict[str, Any]:
    """What is no more."""
    return {"id": object_id, "object": kind, "deleted": True}

"""Random, unguessable object ids with OpenAI's prefixes."""

import secrets


def _make(prefix: str) -> str:
    return prefix + secrets.token_hex(16)


def make_job() -> str:
    return _make("job_")


def make_batch() -> str:
    return _make("batch_")


def make_file() -> str:
    return _make("file-")


def make_session() -> str:
    return _make("sess_")


def make_event() -> str:
    return _make("evt_")


def make_key() -> str:
    return _make("key_")


def make_delivery() -> str:
    return _make("evt_")

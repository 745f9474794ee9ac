"""Who may ask: bearer keys, and nobody else once the first key exists."""

import ipaddress

import flask

from app.api import context
from app.api.context import Caller
from app.errors import SettingsError, Unauthorized
from app.models import keys
from app.models.database import Database
from app.settings import Settings

OPEN = ("/health", "/health/live", "/health/ready")
_SCHEME = "bearer"


def authenticate() -> None:
    """Sets the caller of this request, or raises Unauthorized. Nothing is remembered between
    requests, so a revoked key is refused on its next use."""
    if flask.request.path in OPEN:
        return
    db = context.current().db
    flask.g.caller = _check(db) if keys.has_any(db) else Caller(keys.DEFAULT_TENANT, None)


def _check(db: Database) -> Caller:
    scheme, _, secret = flask.request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() != _SCHEME or not secret.strip():
        raise Unauthorized("key_missing")
    key = keys.find(db, secret.strip())
    if key is None:
        raise Unauthorized("key_invalid")
    return Caller(key.tenant_id, key.id)


def require_safe(options: Settings, db: Database) -> None:
    """SettingsError("keys_required") for an address that others can reach while no key exists."""
    if not is_loopback(options.server.host) and not keys.has_any(db):
        raise SettingsError("keys_required", param="server.host", host=options.server.host)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""Which URLs may be told about ended work, and the secret that signs what they are told."""

import base64
import hashlib
import hmac
from urllib.parse import SplitResult, urlsplit

from app.errors import BadRequest
from app.settings.schema import Webhooks
from app.wire import replies

MAX_URL = 2048
_PORTS = {"https": 443, "http": 80}
_PREFIX = "whsec_"


def check_url(url: str, options: Webhooks, *, param: str) -> str:
    """The URL, if it may be called: https, and a host of the allow list. BadRequest
    ("webhooks_not_configured", "webhook_url_invalid", "webhook_not_allowed") otherwise."""
    if options.signing_secret is None:
        raise BadRequest("webhooks_not_configured", param=param)
    parts = _split(url)
    if parts is None or len(url) > MAX_URL:
        raise BadRequest("webhook_url_invalid", param=param)
    if is_loopback_host(parts, options):
        return url
    if parts.scheme != "https":
        raise BadRequest("webhook_url_invalid", param=param)
    if not any(_matches(parts, entry) for entry in options.allow):
        raise BadRequest("webhook_not_allowed", param=param, host=parts.hostname)
    return url


def _split(url: str) -> SplitResult | None:
    """The parts of a plain http(s) URL: no user, no fragment, printable ASCII."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    is_plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    is_bare = parts.username is None and parts.password is None and not parts.fragment
    has_target = parts.scheme in _PORTS and bool(parts.hostname) and port != 0
    return parts if is_plain and is_bare and has_target else None


def name_object(kind: str, object_id: str) -> str:
    """What an event of this kind calls its object: a response is stored as a job."""
    return replies.find_id(object_id) if kind.startswith("response.") else object_id


def find_port(parts: SplitResult) -> int:
    """The port that is meant."""
    return parts.port or _PORTS[parts.scheme]


def is_loopback_host(parts: SplitResult, options: Webhooks) -> bool:
    """Whether the configuration names this very host and port as one on loopback, for tests."""
    return f"{parts.hostname}:{find_port(parts)}" in options.loopback


def _matches(parts: SplitResult, entry: str) -> bool:
    """`host`, `host:port`, or `*.domain` for everything below a domain."""
    name, _, port = entry.lower().partition(":")
    if find_port(parts) != int(port or 443):
        return False
    host = (parts.hostname or "").lower()
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


def derive_secret(secret: str, tenant_id: str, default_tenant: str) -> str:
    """The secret of one tenant, so that no tenant can sign what another one trusts. The default
    tenant and the configured endpoints have the configured secret itself."""
    if tenant_id == default_tenant:
        return secret
    key = base64.b64decode(secret.removeprefix(_PREFIX) + "==")
    own = hmac.new(key, f"tenant:{tenant_id}".encode(), hashlib.sha256).digest()
    return _PREFIX + base64.b64encode(own).decode()

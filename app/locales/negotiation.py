"""Which language to answer in: from an Accept-Language header or from the terminal's variables."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app import settings

_ENGLISH = "en-US"
_RANGE = re.compile(r"(\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)$")
_QUALITY = re.compile(r"(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$")


@dataclass(frozen=True)
class _Wish:
    """One language range of the header (RFC 9110, 12.5.4), in lower case, and its weight."""

    tag: str
    quality: float


def negotiate(header: str | None, *, default: str, fallback: str, supported: Sequence[str]) -> str:
    """The supported locale a client likes best (RFC 4647 lookup, then by primary language).

    Without a usable header: `default`. When nothing it asks for is supported: `fallback`.
    """
    wishes = [wish for item in (header or "").split(",") if (wish := _parse(item))]
    if not wishes:
        return default
    allowed = [locale for locale in supported if not _is_refused(locale, wishes)]
    for wish in sorted(wishes, key=lambda wish: -wish.quality):
        if wish.quality > 0 and (locale := _find(wish.tag, allowed, default)):
            return locale
    return next((locale for locale in (fallback, default, *allowed) if locale in allowed), fallback)


def system() -> str:
    """The terminal's locale (LC_ALL, LC_MESSAGES, LANG); English if unset, C or not shipped."""
    names = (settings.variable(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    name = next((name for name in names if name), "C")
    tag = re.split(r"[.@]", name)[0].replace("_", "-")
    return negotiate(tag, default=_ENGLISH, fallback=_ENGLISH, supported=settings.LOCALES)


def _parse(item: str) -> _Wish | None:
    """One range with its quality, or None for anything that is not well formed."""
    tag, *parameters = (part.strip() for part in item.split(";"))
    if not _RANGE.match(tag):
        return None
    quality = 1.0
    for parameter in parameters:
        name, _, value = (part.strip() for part in parameter.partition("="))
        if name.lower() != "q" or not _QUALITY.match(value):
            return None
        quality = float(value)
    return _Wish(tag.lower(), quality)


def _is_refused(locale: str, wishes: Sequence[_Wish]) -> bool:
    """True if the most specific range that covers `locale` has quality 0."""
    covering = [wish for wish in wishes if wish.tag == "*" or _covers(wish.tag, locale)]
    closest = max(covering, key=lambda wish: len(wish.tag.strip("*")), default=None)
    return closest is not None and closest.quality == 0


def _covers(tag: str, locale: str) -> bool:
    return f"{locale.lower()}-".startswith(f"{tag}-")


def _find(tag: str, allowed: Sequence[str], default: str) -> str | None:
    """The locale a range stands for: the very same tag first, else one of the same language."""
    if tag == "*":
        return default if default in allowed else None
    exact = (locale for locale in allowed if _covers(tag, locale))
    alike = (locale for locale in allowed if locale.lower().split("-")[0] == tag.split("-")[0])
    return next(exact, None) or next(alike, None)

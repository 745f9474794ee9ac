"""Where a line stands among the lines of its batch: lines that begin alike stand together."""

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

_CUTS = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288)
_MASK = 0xFFF  # three hexadecimal digits a cut


def make_key(request: Mapping[str, Any]) -> str:
    """Digests of the first 64, 96, 128, ... 12,288 bytes of what the model will read, each over
    all before it, at most 48 characters in all. Sorted by it, lines that share a beginning are
    neighbours, whatever the share is: instructions, examples, a document. Texts shorter than
    that have an empty one. Where digests collide, strangers stand together, which costs nothing
    but the gain."""
    text = "".join(_iterate_texts(request)).encode()[: _CUTS[-1]]
    key, digest, last = "", 0, 0
    for cut in (cut for cut in _CUTS if cut <= len(text)):
        digest = zlib.crc32(text[last:cut], digest)
        key, last = f"{key}{digest & _MASK:03x}", cut
    return key


def _iterate_texts(request: Mapping[str, Any]) -> Iterator[str]:
    """In the order in which a template writes them."""
    if template := request.get("template"):
        yield orjson.dumps(template, option=orjson.OPT_SORT_KEYS).decode()
    yield request.get("instructions") or ""
    for message in request.get("messages", ()):
        yield f"\x1e{message['role']}\x1f{message['content']}"
    yield request.get("prompt") or ""

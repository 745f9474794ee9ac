"""Gathers what streamed requests gain between two calls of Engine.deltas."""

from app.inference.engine import Delta


class Deltas:
    """Pieces of text by request, in the order in which they came."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._tokens: dict[str, int] = {}
        self._ended: set[str] = set()

    def add(self, request_id: str, text: str, tokens: int, *, is_last: bool = False) -> None:
        """Notes text that became certain, and tokens chosen whether or not they show yet."""
        self._texts[request_id] = self._texts.get(request_id, "") + text
        self._tokens[request_id] = self._tokens.get(request_id, 0) + tokens
        if is_last:
            self._ended.add(request_id)

    def take(self) -> list[Delta]:
        """Everything that shows; tokens without text wait for it, or for the request's end."""
        shown = [id for id, text in self._texts.items() if text or id in self._ended]
        found = [Delta(id, self._texts.pop(id), self._tokens.pop(id)) for id in shown]
        self._ended.clear()
        return [delta for delta in found if delta.text or delta.tokens]

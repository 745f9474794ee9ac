"""A small real HTTP server that keeps the Batch API's contract and can be told to misbehave."""

import json
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Standin:
    """Files and batches in memory. They outlive `stop` and `start`, as a database would.

    Every request is one of the steps upload, create, poll, download, cancel. The step is carried
    out first; then `misbehave[step]`, if any, may hold the answer back, or drop it by returning
    False. `refusals[step]` is a list of (status, headers) to answer with before anything is done.
    """

    def __init__(self, *, lines_per_poll: int = 1000) -> None:
        self.lines_per_poll = lines_per_poll
        self.files: dict[str, bytes] = {}
        self.names: dict[str, str] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, tuple[str, bytes]] = {}
        self.seen: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.misbehave: dict[str, Callable[[], bool]] = {}
        self.refusals: dict[str, list[tuple[int, dict[str, str]]]] = defaultdict(list)
        self.failing: set[str] = set()
        self.unrendered: set[str] = set()
        self.errors: list[dict[str, Any]] = []
        self.final_status = "completed"
        self.is_shuffled = False
        self.port = 0
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def executed(self) -> Counter[str]:
        """custom_id -> how many times the server was made to run it."""
        return Counter(
            line["custom_id"] for batch in self.batches.values() for line in batch["_lines"]
        )

    def start(self) -> None:
        standin = self

        class Handler(_Handler):
            owner = standin

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        file_id = f"file-{len(self.files)}"
        self.files[file_id], self.names[file_id] = content, name
        return {"id": file_id, "object": "file", "bytes": len(content), "filename": name}

    def create(self, body: bytes, key: str | None) -> tuple[int, dict[str, Any]]:
        with self._lock:
            if key in self.keys:
                batch_id, first = self.keys[key]
                if first != body:
                    return 409, _error("This key was used with another body.")
                return 200, self.render(batch_id)
            batch_id = f"batch_{len(self.batches)}"
            if key:
                self.keys[key] = (batch_id, body)
            self.batches[batch_id] = self._new_batch(batch_id, json.loads(body))
            return 200, self.render(batch_id)

    def poll(self, batch_id: str) -> tuple[int, dict[str, Any]]:
        if batch_id not in self.batches:
            return 404, _error(f"No batch found with id '{batch_id}'.")
        self._advance(self.batches[batch_id])
        return 200, self.render(batch_id)

    def render(self, batch_id: str) -> dict[str, Any]:
        return {k: v for k, v in self.batches[batch_id].items() if not k.startswith("_")}

    def _new_batch(self, batch_id: str, body: dict[str, Any]) -> dict[str, Any]:
        content = self.files[body["input_file_id"]]
        lines = [json.loads(line) for line in content.splitlines()]
        return {
            "id": batch_id,
            "object": "batch",
            "status": "validating",
            "endpoint": body["endpoint"],
            "created_at": 0,
            "errors": None,
            "output_file_id": None,
            "error_file_id": None,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "_lines": lines,
        }

    def _advance(self, batch: dict[str, Any]) -> None:
        if batch["status"] == "validating":
            batch["status"] = "failed" if self.errors else "in_progress"
            batch["errors"] = {"object": "list", "data": self.errors} if self.errors else None
        elif batch["status"] == "in_progress":
            total = len(batch["_lines"])
            done = sum(batch["request_counts"][k] for k in ("completed", "failed"))
            done = min(total, done + self.lines_per_poll)
            failed = sum(line["custom_id"] in self.failing for line in batch["_lines"][:done])
            batch["request_counts"] = {
                "total": total,
                "completed": done - failed,
                "failed": failed,
            }
            if done == total:
                self._finish(batch)

    def _finish(self, batch: dict[str, Any]) -> None:
        lines = [line for line in batch["_lines"] if line["custom_id"] not in self.unrendered]
        good = [_success(line) for line in lines if line["custom_id"] not in self.failing]
        bad = [_failure(line) for line in lines if line["custom_id"] in self.failing]
        if self.is_shuffled:
            random.Random(7).shuffle(good)
            random.Random(8).shuffle(bad)
        for kind, results in (("output", good), ("error", bad)):
            if results:
                content = "".join(json.dumps(result) + "\n" for result in results)
                batch[f"{kind}_file_id"] = self.upload(f"{kind}.jsonl", content.encode())["id"]
        batch["status"] = self.final_status


class _Handler(BaseHTTPRequestHandler):
    """Routes one request to the stand-in."""

    owner: Standin
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        parts = self.path.split("/")
        if parts[2] == "files":
            self._run("download", lambda: (200, self.owner.files[parts[3]]))
        else:
            self._run("poll", lambda: self.owner.poll(parts[3]))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/v1/files":
            name, content = _parse_upload(body)
            self._run("upload", lambda: (200, self.owner.upload(name, content)))
        elif self.path == "/v1/batches":
            key = self.headers.get("Idempotency-Key")
            self._run("create", lambda: self.owner.create(body, key))
        else:
            batch_id = self.path.split("/")[3]
            self.owner.batches[batch_id]["status"] = "cancelling"
            self._run("cancel", lambda: (200, self.owner.render(batch_id)))

    def _run(self, step: str, act: Callable[[], tuple[int, Any]]) -> None:
        self.owner.seen[step] += 1
        self.owner.headers.append(dict(self.headers))
        if self.owner.refusals[step]:
            status, headers = self.owner.refusals[step].pop(0)
            self._answer(status, _error("Refused on purpose."), headers)
            return
        status, answer = act()
        misbehave = self.owner.misbehave.get(step)
        if misbehave and not misbehave():
            self.close_connection = True
            return
        self._answer(status, answer, {})

    def _answer(self, status: int, answer: Any, headers: dict[str, str]) -> None:
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        try:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


def _parse_upload(body: bytes) -> tuple[str, bytes]:
    boundary = body[: body.index(b"\r\n")]
    part = next(part for part in body.split(boundary)[1:] if b"filename=" in part)
    head, content = part.split(b"\r\n\r\n", 1)
    name = head.split(b'filename="')[1].split(b'"')[0].decode()
    return name, content.removesuffix(b"\r\n")


def _success(line: dict[str, Any]) -> dict[str, Any]:
    custom_id = line["custom_id"]
    usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    message = {"role": "assistant", "content": f"answer to {custom_id}"}
    body = {"choices": [{"index": 0, "message": message}], "usage": usage}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {
        "id": f"batch_req_{custom_id}",
        "custom_id": custom_id,
        "response": response,
        "error": None,
    }


def _failure(line: dict[str, Any]) -> dict[str, Any]:
    custom_id = line["custom_id"]
    response = {"status_code": 400, "request_id": "r", "body": _error("No.")}
    return {
        "id": f"batch_req_{custom_id}",
        "custom_id": custom_id,
        "response": response,
        "error": None,
    }


def _error(message: str) -> dict[str, Any]:
    return {
        "error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    }

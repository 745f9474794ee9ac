"""Input files of batches: what each line asks for, how they are sent, and what must come back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.faults import stage as staging
from tests.faults.injections import Scene
from tests.faults.sent import Line, foresee
from tests.integration.workplace import wait_for

_BAD_CODE = "out_of_range"


@dataclass(frozen=True)
class Sheet:
    """What is asked for, by custom id."""

    lines: Mapping[str, Line]

    def write(self) -> list[bytes]:
        """The lines of the file."""
        return [_write_line(custom_id, line) for custom_id, line in self.lines.items()]


def make(name: str, number: int, *, bad: int = 0, may_expire: bool = False) -> Sheet:
    """`number` lines; the first `bad` ones cannot be run."""
    lines = {}
    for place in range(number):
        is_bad = place < bad
        body = {"prompt": f"{name} {place}", "seed": place, "max_tokens": -1 if is_bad else 8}
        lines[f"{name}-{place}"] = Line(body, _BAD_CODE if is_bad else None, may_expire)
    return Sheet(lines)


def _write_line(custom_id: str, line: Line) -> bytes:
    asked = {name: value for name, value in line.body.items() if name != "prompt"}
    said = [{"role": "user", "content": line.body["prompt"]}]
    body = {"model": "fake", "messages": said, **asked}
    record = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(record).encode() + b"\n"


def upload(scene: Scene, sheet: Sheet) -> str:
    """The id of the stored file."""
    form = {"files": {"file": ("in.jsonl", b"".join(sheet.write()))}, "data": {"purpose": "batch"}}
    return str(scene.clients.demand("/v1/files", **form)["id"])


def create(scene: Scene, file_id: str, sheet: Sheet) -> str:
    """The id of a batch over the file."""
    window = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    made = scene.clients.demand("/v1/batches", json=window | {"input_file_id": file_id})
    scene.clients.note_lines(made["id"], sheet.lines)
    return str(made["id"])


def await_end(scene: Scene, batch_id: str) -> str:
    """The state in which it ended."""
    asked = "SELECT status FROM batches WHERE id = :id AND status IN ('completed', 'expired')"
    found = wait_for(
        lambda: scene.stage.list_rows(asked, id=batch_id),
        f"the end of {batch_id}",
        staging.PATIENCE_SECONDS,
        every=staging.LOOK_SECONDS,
    )
    return str(found[0][0])


def check_files(scene: Scene, batch_id: str, sheet: Sheet) -> Mapping[str, int]:
    """Both files hold each line once, as many as the batch counts, the bad ones as errors, and the
    texts of an undisturbed run. The batch's counts."""
    batch = scene.clients.fetch(f"/v1/batches/{batch_id}").json()
    counts: dict[str, int] = batch["request_counts"]
    done, failed = (_read_lines(scene, batch[name]) for name in ("output_file_id", "error_file_id"))
    found = (len(done), len(failed), len(done) + len(failed))
    told = (counts["completed"], counts["failed"], counts["total"])
    assert found == told, f"I7: the files of {batch_id} have {found} lines, it counts {told}"
    ids = sorted(each["custom_id"] for each in done + failed)
    assert ids == sorted(sheet.lines), f"I7: {batch_id} has lost or doubled lines"
    must_fail = {custom_id for custom_id, line in sheet.lines.items() if line.code}
    unfailed = must_fail - {each["custom_id"] for each in failed}
    assert not unfailed, f"I6: bad lines of {batch_id} succeeded: {unfailed}"
    changed = [each["custom_id"] for each in done if _read_text(each) != _foresee(each, sheet)]
    assert not changed, f"I5: lines of {batch_id} differ from an undisturbed run: {changed[:3]}"
    return counts


def _read_lines(scene: Scene, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    content = scene.clients.fetch(f"/v1/files/{file_id}/content").text
    return [json.loads(line) for line in content.splitlines()]


def _read_text(line: Mapping[str, Any]) -> str:
    return str(line["response"]["body"]["choices"][0]["message"]["content"])


def _foresee(line: Mapping[str, Any], sheet: Sheet) -> str:
    return foresee(sheet.lines[line["custom_id"]].body)

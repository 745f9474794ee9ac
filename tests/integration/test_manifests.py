"""Manifests: they name the very bytes, never change, and tell a changed file and a wrong key."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app import cli, settings, weights
from app.errors import NotFound
from app.models import batches, files, manifests
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.weights import stamps
from app.wire.rows import Batch
from app.workers import finalize, ingest
from app.workers.context import Context
from app.workers.manifests import Origins, list_texts
from tests.integration import inputs, makers
from tests.integration.inputs import make_line

pytestmark = pytest.mark.integration
BAD = make_line("bad", body_temperature=9)


@pytest.fixture
def context(database: Database, tmp_path: Path) -> Context:
    return inputs.make_context(database, tmp_path)


def run(context: Context, content: bytes) -> tuple[Batch, dict[str, Any]]:
    """A batch that has ended, and its manifest."""
    batch = inputs.submit(context, content)
    ingest.run(context, batch.id)
    inputs.settle_all(context)
    finalize.run(context, batch.id)
    return makers.reload(context.db, batch), manifests.read(context.db, DEFAULT_TENANT, batch.id)


def test_a_manifest_names_files_counts_and_weights(context: Context):
    batch, body = run(context, make_line(1) + make_line(2) + BAD)

    for role, file_id in (("output", batch.output_file_id), ("errors", batch.error_file_id)):
        file = files.get(context.db, DEFAULT_TENANT, file_id or "")
        assert body[role] == {"file_id": file.id, "sha256": file.sha256, "bytes": file.bytes}
    assert body["input"]["file_id"] == batch.input_file_id
    assert body["input"]["sha256"] == "0" * 64  # as the upload recorded it
    assert body["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    assert [(x["weights_sha256"], x["answers"]) for x in body["origins"]] == [("0" * 64, 2)]
    assert "signature" not in body


def test_there_is_none_before_the_end_nor_for_others(context: Context):
    batch = inputs.submit(context, make_line(1))
    ingest.run(context, batch.id)

    with pytest.raises(NotFound, match="manifest_not_ready"):
        manifests.read(context.db, DEFAULT_TENANT, batch.id)
    with pytest.raises(NotFound, match="batch_not_found"):
        manifests.read(context.db, "other", batch.id)


def test_a_manifest_never_changes_once_the_batch_has_ended(context: Context):
    batch, body = run(context, make_line(1))

    manifests.store(context.db, batch.id, {"forged": True})
    finalize.run(context, batch.id)

    assert manifests.read(context.db, DEFAULT_TENANT, batch.id) == body


def test_the_shipped_models_tokenizer_and_template_are_named(context: Context):
    """The digests are those that verification found, for the answers that these weights made."""
    model = settings.load(None, {}).models[0]
    keys = model.verify.public_keys
    verified = weights.verify_text(model.path or "", public_keys=keys)
    whole = weights.unseal(model.path or "", public_keys=keys)
    origins = Origins()
    origins.add({"weights_sha256": whole.digest})

    (texts,) = list_texts((model,), origins)

    assert texts["weights_sha256"] == whole.digest
    tokenizer = (verified / "tokenizer.json").read_bytes()
    assert texts["tokenizer"]["tokenizer.json"] == hashlib.sha256(tokenizer).hexdigest()
    assert texts["template"]
    assert list_texts((model,), Origins()) == []


def write(folder: Path, context: Context, batch: Batch, body: dict[str, Any]) -> tuple[str, str]:
    """The output file and the manifest, as a client would save them."""
    output = files.get(context.db, DEFAULT_TENANT, batch.output_file_id or "")
    (folder / "out.jsonl").write_bytes((context.files / output.path).read_bytes())
    (folder / "manifest.json").write_text(json.dumps(body, indent=2))
    return str(folder / "out.jsonl"), str(folder / "manifest.json")


def verify(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["batches", "verify", *arguments])


def test_verify_tells_the_right_file_from_a_changed_one(context: Context, tmp_path: Path):
    output, manifest = write(tmp_path, context, *run(context, make_line(1)))

    assert verify(output, manifest).exit_code == 0
    with Path(output).open("ab") as file:
        file.write(b" ")
    assert verify(output, manifest).exit_code == 1
    assert verify(output, output).exit_code == 2


def test_a_signed_manifest_stands_up_to_its_key_alone(
    context: Context, database: Database, tmp_path: Path
):
    public = weights.write_pair(tmp_path / "key")
    stranger = weights.write_pair(tmp_path / "stranger")
    options = settings.Manifests(private_key_file=str(tmp_path / "key"))
    context = inputs.make_context(database, tmp_path, manifests=options)
    batch, body = run(context, make_line(1))
    output, manifest = write(tmp_path, context, batch, body)

    assert stamps.check(body, [public], file="m") == body["signature"]["key_id"]
    assert verify(output, manifest, "--public-key", public).exit_code == 0
    assert verify(output, manifest, "--public-key", stranger).exit_code == 1
    forged = body | {"request_counts": {"total": 9, "completed": 9, "failed": 0}}
    Path(manifest).write_text(json.dumps(forged))
    assert verify(output, manifest, "--public-key", public).exit_code == 1


def test_verify_tells_machines_what_it_checked(
    context: Context, database: Database, tmp_path: Path
):
    public = weights.write_pair(tmp_path / "key")
    options = settings.Manifests(private_key_file=str(tmp_path / "key"))
    context = inputs.make_context(database, tmp_path, manifests=options)
    batch, body = run(context, make_line(1))
    output, manifest = write(tmp_path, context, batch, body)
    key_id = body["signature"]["key_id"]
    own = {"file": output, "manifest": manifest, "batch_id": batch.id}

    def tell(signature: Any, *keys: str) -> dict[str, Any]:
        Path(manifest).write_text(json.dumps(body | {"signature": signature}))
        arguments = [part for key in keys for part in ("--public-key", key)]
        result = verify(output, manifest, "--json", *arguments)
        told: dict[str, Any] = json.loads(result.stdout)
        assert result.exit_code == (0 if told["verified"] else 1)
        return told

    good = own | {"verified": True, "role": "output"}
    assert tell(body["signature"], public) == good | {"signature": "valid", "key_id": key_id}
    assert tell(body["signature"]) == good | {"signature": "not_checked"}
    assert tell(None) == good | {"signature": "none"}
    wrong = body["signature"] | {"value": "AAAA"}
    stranger = weights.write_pair(tmp_path / "stranger")
    bad = [
        tell(None, public),
        tell({}, public),
        tell(wrong, public),
        tell(body["signature"], stranger),
    ]
    assert [each["error"]["code"] for each in bad] == [
        "manifest_unsigned",
        "manifest_signature_broken",
        "manifest_signature_wrong",
        "manifest_signer_unknown",
    ]
    assert not any("weights" in each["error"]["message"] for each in bad)


@pytest.mark.parametrize(
    "text",
    [
        '{"request_counts": {"total": 9}, %s',
        '{"output": [1], "object": "batch.manifest", "batch_id": "batch_1"}',
        "no JSON",
        "[1]",
    ],
)
def test_what_is_no_manifest_is_told_to_people_and_machines(
    context: Context, tmp_path: Path, text: str
):
    output, manifest = write(tmp_path, context, *run(context, make_line(1)))
    whole = Path(manifest).read_text()
    Path(manifest).write_text(text.replace("%s", whole.lstrip("{ \n")))

    plain, result = verify(output, manifest), verify(output, manifest, "--json")

    assert (plain.exit_code, result.exit_code) == (2, 2)
    assert "is not a batch manifest" in plain.stderr
    told = json.loads(result.stdout)
    assert (told["verified"], told["error"]["code"]) == (False, "manifest_broken")


def test_verify_says_that_it_did_not_check_a_signature(
    context: Context, database: Database, tmp_path: Path
):
    weights.write_pair(tmp_path / "key")
    options = settings.Manifests(private_key_file=str(tmp_path / "key"))
    context = inputs.make_context(database, tmp_path, manifests=options)
    output, manifest = write(tmp_path, context, *run(context, make_line(1)))

    result = verify(output, manifest)

    assert (result.exit_code, "NOT checked" in result.stderr) == (0, True)


def test_a_key_that_is_gone_leaves_the_batch_to_end_unsigned(database: Database, tmp_path: Path):
    options = settings.Manifests(private_key_file=str(tmp_path / "nowhere"))
    context = inputs.make_context(database, tmp_path, manifests=options)

    batch, body = run(context, make_line(1))

    assert batch.status == "completed"
    assert "signature" not in body


def test_a_cancelled_batch_has_one_too(context: Context):
    batch = inputs.submit(context, make_line(1) + make_line(2))
    ingest.run(context, batch.id)
    batches.cancel(context.db, DEFAULT_TENANT, batch.id)
    finalize.run(context, batch.id)

    body = manifests.read(context.db, DEFAULT_TENANT, batch.id)

    assert (body["output"], body["request_counts"]["failed"]) == (None, 2)

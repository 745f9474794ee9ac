"""Verified weights: what is locked and signed loads, and nothing else does."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from safetensors.numpy import load_file, save_file

import app
from app import locales, weights
from app.errors import WeightsError
from app.weights import keys

PRIVATE, PUBLIC = weights.keygen()
OTHER_PRIVATE, OTHER_PUBLIC = weights.keygen()
MODEL = "model.safetensors"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small model directory, not locked yet."""
    root = tmp_path / "glm-small"
    (root / "extra").mkdir(parents=True)
    save_file({"weight": np.arange(4096, dtype=np.float32)}, root / MODEL)
    (root / "config.json").write_text(json.dumps({"model_type": "glm"}))
    (root / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<eos>"}))
    (root / "extra" / "notes.txt").write_text("notes")
    return root


@pytest.fixture
def signed(model: Path) -> Path:
    weights.lock(model)
    weights.sign(model, PRIVATE)
    return model


def verify(root: Path) -> weights.Verified:
    return weights.verify(root, public_keys=(PUBLIC,))


def refusal(root: Path, *, public_keys: tuple[str | Path, ...] = (PUBLIC,)) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        weights.verify(root, public_keys=public_keys)
    return caught.value


def relock(root: Path) -> None:
    """Signs whatever is there, as an owner with bad habits would: no check of the content."""
    names = sorted(
        str(path.relative_to(root))
        for path in root.rglob("*")
        if (path.is_file() or path.is_symlink()) and not path.name.startswith("MANIFEST")
    )
    files = tuple(measure(root, name) for name in names)
    publish(root, weights.Manifest(files).encoded)


def measure(root: Path, name: str) -> weights.File:
    content = (root / name).read_bytes()
    return weights.File(name, len(content), hashlib.sha256(content).hexdigest())


def publish(root: Path, manifest: bytes) -> None:
    (root / "MANIFEST.json").write_bytes(manifest)
    signature = keys.sign_bytes(keys.read_private(PRIVATE), manifest)
    (root / "MANIFEST.json.sig").write_bytes(signature)


def test_a_signed_directory_is_verified_with_the_digest_of_its_manifest(signed: Path) -> None:
    verified = verify(signed)

    manifest = (signed / "MANIFEST.json").read_bytes()
    assert verified.digest == hashlib.sha256(manifest).hexdigest()
    assert verified.path == signed.resolve()
    assert [file.name for file in verified.files] == [
        "config.json",
        "extra/notes.txt",
        MODEL,
        "tokenizer_config.json",
    ]
    assert verified.key_id == keys.identify(keys.read_public(PUBLIC))
    verified.recheck()


def test_the_manifest_lists_size_and_sha256_of_every_file_and_is_canonical(model: Path) -> None:
    manifest = weights.lock(model)

    body = json.loads((model / "MANIFEST.json").read_bytes())
    assert body["files"][2] == {
        "name": MODEL,
        "size": (model / MODEL).stat().st_size,
        "sha256": hashlib.sha256((model / MODEL).read_bytes()).hexdigest(),
    }
    assert manifest.encoded == (model / "MANIFEST.json").read_bytes()
    assert weights.lock(model).digest == manifest.digest


def test_locking_again_keeps_a_signature_of_the_same_files_valid(signed: Path) -> None:
    weights.lock(signed)

    verify(signed)


def flip_data(root: Path) -> None:
    content = bytearray((root / MODEL).read_bytes())
    content[-5] ^= 1
    (root / MODEL).write_bytes(content)


def test_a_flipped_byte_in_the_tensor_data_is_refused_though_the_format_loads_it(
    signed: Path,
) -> None:
    flip_data(signed)

    load_file(signed / MODEL)  # safetensors itself sees nothing
    error = refusal(signed)
    assert error.code == "weights_digest_changed"
    assert error.values["file"] == MODEL


def append(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes((root / name).read_bytes() + b"x")


def swap_files(root: Path) -> None:
    one, two = root / "config.json", root / "tokenizer_config.json"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def edit_manifest(root: Path) -> None:
    target = root / "MANIFEST.json"
    target.write_bytes(target.read_bytes() + b" ")


def sign_by_another(root: Path) -> None:
    weights.sign(root, OTHER_PRIVATE)


def forge_key_id(root: Path) -> None:
    sign_by_another(root)
    target = root / "MANIFEST.json.sig"
    trusted = keys.identify(keys.read_public(PUBLIC))
    target.write_text(json.dumps(json.loads(target.read_text()) | {"key_id": trusted}))


def sign_without_prefix(root: Path) -> None:
    target = root / "MANIFEST.json.sig"
    private = keys.read_private(PRIVATE)
    raw = private.sign((root / "MANIFEST.json").read_bytes())
    body = json.loads(target.read_text()) | {"signature": base64.b64encode(raw).decode()}
    target.write_text(json.dumps(body))


@pytest.mark.parametrize(
    ("tamper", "code", "file"),
    [
        (lambda root: shutil.rmtree(root), "weights_not_directory", None),
        (lambda root: (root / "MANIFEST.json").unlink(), "weights_manifest_missing", None),
        (lambda root: (root / "MANIFEST.json.sig").unlink(), "weights_signature_missing", None),
        (edit_manifest, "weights_signature_wrong", "MANIFEST.json.sig"),
        (sign_by_another, "weights_signer_unknown", "MANIFEST.json.sig"),
        (forge_key_id, "weights_signature_wrong", "MANIFEST.json.sig"),
        (sign_without_prefix, "weights_signature_wrong", "MANIFEST.json.sig"),
        (
            lambda root: (root / "MANIFEST.json.sig").write_text("?"),
            "weights_signature_broken",
            "MANIFEST.json.sig",
        ),
        (lambda root: (root / "config.json").unlink(), "weights_file_missing", "config.json"),
        (lambda root: (root / "new.txt").write_text(""), "weights_file_extra", "new.txt"),
        (lambda root: (root / "extra/n").write_text(""), "weights_file_extra", "extra/n"),
        (lambda root: (root / "model.py").write_text(""), "weights_file_extra", "model.py"),
        (lambda root: os.mkfifo(root / "pipe"), "weights_file_extra", "pipe"),
        (append(MODEL), "weights_size_changed", MODEL),
        (lambda root: os.truncate(root / MODEL, 900), "weights_size_changed", MODEL),
        (swap_files, "weights_size_changed", "config.json"),
    ],
)
def test_a_changed_directory_is_refused_by_the_name_of_its_fault(
    signed: Path, tamper: Callable[[Path], object], code: str, file: str | None
) -> None:
    tamper(signed)

    error = refusal(signed)

    assert error.code == code
    assert file is None or error.values["file"] == file


def test_without_a_trusted_key_even_a_good_signature_is_refused(signed: Path) -> None:
    assert refusal(signed, public_keys=()).code == "weights_no_trusted_key"


def test_the_missing_manifest_is_reported_before_the_missing_key(model: Path) -> None:
    assert refusal(model, public_keys=()).code == "weights_manifest_missing"


def test_any_of_several_trusted_keys_is_enough(signed: Path, tmp_path: Path) -> None:
    file = tmp_path / "key.pub"
    file.write_text(PUBLIC + "\n")

    assert weights.verify(signed, public_keys=(OTHER_PUBLIC, str(file))).digest


def test_a_broken_trusted_key_is_refused_even_beside_a_good_one(signed: Path) -> None:
    assert refusal(signed, public_keys=(PUBLIC, "AAAA")).code == "weights_key_unreadable"


def write(name: str, content: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(content)


def link_outside(root: Path) -> None:
    (root.parent / "outside.txt").write_text("outside")
    (root / "link.txt").symlink_to("../outside.txt")


def break_header(root: Path) -> None:
    (root / MODEL).write_bytes((500).to_bytes(8, "little") + b"{" * 500)


@pytest.mark.parametrize(
    ("plant", "code", "file"),
    [
        *[
            (write(name, "x"), "weights_type_forbidden", name)
            for name in (
                "pytorch_model.bin",
                "w.pt",
                "w.PTH",
                "w.pkl",
                "modeling_glm.py",
                "op.so",
                "op.so.1",
                "extra/w.ckpt",
            )
        ],
        (write("adapter_config.json", "{}"), "weights_adapter", "adapter_config.json"),
        (link_outside, "weights_link_outside", "link.txt"),
        (write("config.json", '{"auto_map": {"A": "m.A"}}'), "weights_custom_code", "config.json"),
        (
            write("config.json", '{"text_config": [{"auto_map": {"A": "m.A"}}]}'),
            "weights_custom_code",
            "config.json",
        ),
        (write("config.json", '{"trust_remote_code": true}'), "weights_custom_code", "config.json"),
        (
            write("config.json", '{"attn_implementation": "someone/kernel"}'),
            "weights_custom_code",
            "config.json",
        ),
        (
            write("tokenizer_config.json", '{"auto_map": {"AutoTokenizer": ["t.T", null]}}'),
            "weights_custom_code",
            "tokenizer_config.json",
        ),
        (write("config.json", "{"), "weights_json_broken", "config.json"),
        (write("config.json", "[]"), "weights_json_broken", "config.json"),
        (write("config.json", "[" * 100_000), "weights_json_broken", "config.json"),
        (break_header, "weights_safetensors_broken", MODEL),
        (write(MODEL, ""), "weights_safetensors_broken", MODEL),
        (
            write("model.safetensors.index.json", '{"weight_map": {"a": "../evil.safetensors"}}'),
            "weights_index_outside",
            "model.safetensors.index.json",
        ),
    ],
)
def test_what_could_run_code_or_load_elsewhere_is_refused_though_signed(
    model: Path, plant: Callable[[Path], object], code: str, file: str
) -> None:
    plant(model)
    relock(model)

    error = refusal(model)

    assert error.code == code
    assert error.values["file"] == file


@pytest.mark.parametrize("name", ["w.bin", "w.py"])
def test_locking_refuses_at_once_what_would_never_verify(model: Path, name: str) -> None:
    (model / name).write_text("x")

    with pytest.raises(WeightsError, match="weights_type_forbidden"):
        weights.lock(model)

    assert not (model / "MANIFEST.json").exists()


def test_locking_a_directory_without_safetensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="weights_none_found"):
        weights.lock(tmp_path)


def test_a_link_that_stays_inside_is_verified_through_its_target(model: Path) -> None:
    (model / "same.txt").symlink_to("extra/notes.txt")
    weights.lock(model)
    weights.sign(model, PRIVATE)

    assert "same.txt" in {file.name for file in verify(model).files}


def test_a_pipe_in_the_place_of_a_file_is_refused_without_waiting_for_it(signed: Path) -> None:
    (signed / "config.json").unlink()
    os.mkfifo(signed / "config.json")

    assert refusal(signed).code == "weights_not_regular"


@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "/etc/passwd", "a/../../b", "./a", "a//b", "", ".", "a\\b", "a\nMODEL: OK", 7],
)
def test_a_manifest_name_that_is_not_a_plain_path_inside_is_refused(
    signed: Path, name: object
) -> None:
    body = json.loads((signed / "MANIFEST.json").read_bytes())
    body["files"].append({"name": name, "size": 0, "sha256": "0" * 64})
    publish(signed, json.dumps(body).encode())

    assert refusal(signed).code in {"weights_name_unsafe", "weights_manifest_broken"}


@pytest.mark.parametrize(
    ("manifest", "code"),
    [
        (b"\xff", "weights_manifest_broken"),
        (b"[]", "weights_manifest_broken"),
        (b'{"format": 2, "files": []}', "weights_manifest_format"),
        (b'{"format": 1, "files": [{"name": "a"}]}', "weights_manifest_broken"),
        (
            b'{"format": 1, "files": [{"name": "a", "size": -1, "sha256": ""}]}',
            "weights_manifest_broken",
        ),
    ],
)
def test_a_signed_manifest_of_another_shape_is_refused(
    signed: Path, manifest: bytes, code: str
) -> None:
    publish(signed, manifest)

    assert refusal(signed).code == code


def test_a_name_listed_twice_is_refused(signed: Path) -> None:
    body = json.loads((signed / "MANIFEST.json").read_bytes())
    publish(signed, json.dumps(body | {"files": body["files"] * 2}).encode())

    assert refusal(signed).code == "weights_manifest_broken"


def replace_same_bytes(root: Path) -> None:
    content = (root / MODEL).read_bytes()
    (root / MODEL).unlink()
    (root / MODEL).write_bytes(content)


def flip_and_reset_time(root: Path) -> None:
    found = (root / MODEL).stat()
    flip_data(root)
    os.utime(root / MODEL, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize(
    ("tamper", "file"),
    [
        (flip_data, MODEL),
        (flip_and_reset_time, MODEL),
        (replace_same_bytes, MODEL),
        (lambda root: (root / "late.py").write_text(""), "late.py"),
        (lambda root: (root / "config.json").unlink(), "config.json"),
    ],
)
def test_a_change_after_verification_is_detected_by_recheck(
    signed: Path, tamper: Callable[[Path], object], file: str
) -> None:
    verified = verify(signed)

    tamper(signed)

    with pytest.raises(WeightsError) as caught:
        verified.recheck()
    assert caught.value.code == "weights_changed"
    assert caught.value.values["file"] == file


def test_every_fault_is_reported_when_asked_for_all(signed: Path) -> None:
    flip_data(signed)
    (signed / "new.txt").write_text("")
    (signed / "config.json").unlink()

    checks = list(weights.examine(weights.unseal(signed, public_keys=(PUBLIC,))))

    assert {each.name: each.error.code if each.error else None for each in checks} == {
        "config.json": "weights_file_missing",
        "new.txt": "weights_file_extra",
        "extra/notes.txt": None,
        MODEL: "weights_digest_changed",
        "tokenizer_config.json": None,
    }


def test_no_file_is_held_in_memory(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    largest, lock = 0, threading.Lock()
    read = os.read

    def measured(descriptor: int, length: int) -> bytes:
        nonlocal largest
        with lock:
            largest = max(largest, length)
        return read(descriptor, length)

    os.truncate(model / "extra/notes.txt", 5 << 20)
    monkeypatch.setattr(os, "read", measured)

    manifest = weights.lock(model)

    assert next(f.size for f in manifest.files if f.name == "extra/notes.txt") == 5 << 20
    assert largest == 1 << 20


def test_another_manifest_name_is_used_when_given(model: Path) -> None:
    weights.lock(model, manifest="sealed.json")
    weights.sign(model, PRIVATE, manifest="sealed.json")

    assert weights.verify(model, manifest="sealed.json", public_keys=(PUBLIC,)).digest
    assert refusal(model).code == "weights_manifest_missing"


def test_signing_without_a_manifest_is_refused(model: Path) -> None:
    with pytest.raises(WeightsError, match="weights_manifest_missing"):
        weights.sign(model, PRIVATE)


def test_a_private_key_inside_the_model_directory_is_refused(model: Path) -> None:
    (model / "signing.key").write_text(PRIVATE)
    weights.lock(model)

    with pytest.raises(WeightsError, match="weights_key_inside"):
        weights.sign(model, model / "signing.key")


def test_a_key_pair_is_written_for_its_owner_alone_and_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "signing.key"

    public = weights.write_pair(file)

    assert file.stat().st_mode & 0o777 == 0o600
    assert keys.encode_public(keys.read_private(file).public_key()) == public
    assert keys.encode_public(keys.read_public(f"{file}.pub")) == public
    before = file.read_bytes()
    with pytest.raises(WeightsError, match="weights_key_exists"):
        weights.write_pair(file)
    assert file.read_bytes() == before


def test_an_error_about_a_key_never_shows_the_key() -> None:
    broken = PRIVATE.replace("M", "N", 1)

    with pytest.raises(WeightsError) as caught:
        keys.read_private(broken)

    assert not any(line in str(caught.value) for line in PRIVATE.splitlines())


def test_a_private_key_given_as_the_trusted_public_key_is_refused(signed: Path) -> None:
    assert refusal(signed, public_keys=(PRIVATE,)).code == "weights_key_broken"


def test_a_public_key_is_read_from_pem_too(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate().public_key()
    file = tmp_path / "key.pem"
    file.write_bytes(key.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo))

    assert keys.encode_public(keys.read_public(file)) == keys.encode_public(key)


def test_the_order_of_files_does_not_change_the_manifest() -> None:
    files = [weights.File(name, 1, "0" * 64) for name in "cab"]

    manifest = weights.Manifest(tuple(files))

    assert manifest.encoded == replace(manifest, files=tuple(sorted(files))).encoded


def test_every_refusal_is_explained_in_every_language_and_in_the_documentation() -> None:
    root = Path(app.__file__).parent
    sources = [*root.glob("weights/*.py"), *root.glob("text/*.py")]
    codes = {
        code
        for source in sources
        for code in re.findall(
            r'(?:(?:WeightsError|BadRequest)\(\s*|manifest, |SUFFIX, )"(\w+)"', source.read_text()
        )
    }
    page = (root.parent / "docs" / "weights.md").read_text(encoding="utf-8")

    assert {"weights_signature_missing", "weights_changed", "unsupported_role"} <= codes
    for code in codes:
        assert not code.startswith("weights_") or f"`{code}`" in page
        for locale in ("en-US", "zh-CN", "ja-JP"):
            assert f"errors.{code}" in locales.texts(locale), (code, locale)


def test_verifying_and_counting_never_import_torch(signed: Path) -> None:
    script = (
        "import sys; from app import text; from app import weights\n"
        "weights.verify(sys.argv[1], public_keys=[sys.argv[2]]); text.Bytes()\n"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", script, str(signed), PUBLIC], check=False)

    assert done.returncode == 0


def test_the_text_of_a_model_is_verified_without_reading_its_tensors(signed: Path) -> None:
    content = bytearray((signed / MODEL).read_bytes())
    content[-1] ^= 1
    (signed / MODEL).write_bytes(bytes(content))

    assert weights.verify_text(signed, public_keys=(PUBLIC,)) == signed


def test_a_changed_tokenizer_is_refused_by_name_when_only_the_text_is_verified(
    signed: Path,
) -> None:
    (signed / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<EOS>"}))

    with pytest.raises(WeightsError) as caught:
        weights.verify_text(signed, public_keys=(PUBLIC,))

    assert caught.value.values["file"] == "tokenizer_config.json"

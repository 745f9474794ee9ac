"""Writes the lock: requirements.txt and requirements-dev.txt, pinned with hashes by uv.

torch stays in requirements-torch.txt without a hash: its build differs from platform to platform
(CPU, CUDA 12, CUDA 13), and so do the packages that only a CUDA build needs.
Run by `make lock`; tests/unit/test_lock.py notices a lock older than pyproject.toml.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
TORCH = ROOT / "requirements-torch.txt"
TARGETS = {"requirements.txt": (), "requirements-dev.txt": ("--extra", "dev")}
_PLATFORM_PACKAGE = re.compile(r"^((?:torch|triton|nvidia-|cuda-)[\w.-]*)==", re.MULTILINE)
_OPTIONS = (
    *("--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate", "--quiet"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-header"),
)


def digest() -> str:
    """What the lock was made from: the requirements in pyproject.toml, and the pin of torch."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [project["dependencies"], project["optional-dependencies"], TORCH.read_text()]
    return hashlib.sha256(json.dumps(wanted).encode()).hexdigest()


def compile_lock(extra: tuple[str, ...], left_out: set[str]) -> str:
    """uv's answer, without the packages that are left out."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", *extra, *_OPTIONS]
    command += ["--constraints", str(TORCH)]
    for name in sorted(left_out):
        command += ["--no-emit-package", name]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "lock.txt"
        subprocess.run([*command, "-o", str(target)], cwd=ROOT, check=True)
        return target.read_text()


def main() -> None:
    for name, extra in TARGETS.items():
        everything = compile_lock(extra, set())
        left_out = set(_PLATFORM_PACKAGE.findall(everything))
        lines = compile_lock(extra, left_out)
        header = f"# Made by `make lock`; do not edit.\n# from: {digest()}\n"
        (ROOT / name).write_text(header + lines)
        print(f"{name}: {lines.count('==')} packages")


if __name__ == "__main__":
    main()

"""Compiles kernels.cpp for this processor, once, and calls it on torch tensors.

Without a C++ compiler `load` returns None and torch's own operators do the work.
"""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

logger = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("kernels.cpp")
TYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
MAX_SHARED = 32  # query heads to one head of keys
MAX_SIZE = 256  # of a head
LANES = 16  # widths are multiples of it
_FLAGS = [
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fopenmp",
    "-shared",
    "-fPIC",
]
_COMPILERS = ("c++", "g++", "clang++")
_COMPILE_SECONDS = 120.0


@functools.cache
def load() -> ctypes.PyDLL | None:
    """The compiled kernels, or None. PyDLL keeps the interpreter's lock: calls are short."""
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        logger.info("no C++ compiler: attention runs on torch's operators")
        return None
    try:
        return ctypes.PyDLL(str(_compile(compiler)))
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("the kernels could not be compiled", exc_info=error)
        return None


def _compile(compiler: str) -> Path:
    """The library in a folder that only this user can write; named after all it depends on."""
    digest = hashlib.sha256(SOURCE.read_bytes() + _describe_machine(compiler)).hexdigest()[:20]
    target = _find_folder() / f"kernels-{digest}.so"
    if not target.is_file():
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            made = Path(folder) / target.name
            command = [compiler, *_FLAGS, "-o", str(made), str(SOURCE)]
            subprocess.run(command, check=True, capture_output=True, timeout=_COMPILE_SECONDS)
            made.replace(target)
    return target


def _describe_machine(compiler: str) -> bytes:
    version = subprocess.run([compiler, "--version"], capture_output=True, timeout=30).stdout
    return version + repr((_FLAGS, platform.machine(), torch.cpu.get_capabilities())).encode()


def _find_folder() -> Path:
    """~/.cache/open-autoglm if it is this user's own, else a new folder."""
    try:
        folder = Path.home() / ".cache" / "open-autoglm"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.stat()
        if state.st_uid == os.getuid() and not state.st_mode & 0o022 and os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):
        logger.info("no cache folder in the home directory: the kernels are compiled each time")
    return Path(tempfile.mkdtemp(prefix="open-autoglm-"))


def is_served(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the kernels know this type of number here."""
    return device.type == "cpu" and dtype in TYPES and load() is not None


def find(name: str, dtype: torch.dtype) -> "ctypes._NamedFuncPointer":
    """The function `name` for tensors of `dtype`."""
    library = load()
    assert library is not None, "asked for kernels that were not loaded"
    return library[f"{name}_{TYPES[dtype]}"]


def normalize(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """RMS norm over the last dimension (Zhang and Sennrich 2019), rounded as in transformers."""
    x = x.contiguous()
    y = torch.empty_like(x)
    width = x.shape[-1]
    find("normalize", x.dtype)(
        _at(x),
        _at(weight),
        _at(y),
        _long(x.numel() // width),
        _long(width),
        ctypes.c_float(epsilon),
    )
    return y


def gate(gates: torch.Tensor, ups: torch.Tensor) -> torch.Tensor:
    """silu(gates) * ups, both (..., width) and rows of one tensor or of two alike."""
    width, stride = gates.shape[-1], gates.stride(-2)
    assert ups.stride() == gates.stride(), "gates and ups lie differently"
    y = torch.empty(gates.shape, dtype=gates.dtype)
    rows = gates.numel() // width
    sizes = (_long(rows), _long(width), _long(stride))
    find("gate", gates.dtype)(_at(gates), _at(ups), _at(y), *sizes)
    return y


def rotate(
    x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor, *, is_interleaved: bool
) -> torch.Tensor:
    """Rotary positions (Su et al. 2021) for x (1, heads, tokens, size), in place where its memory
    runs by tokens; cosine and sine (1, tokens, rotary) repeat each angle for its pair."""
    rows = x[0].transpose(0, 1).contiguous()
    tokens, heads, size = rows.shape
    rotary = cosine.shape[-1]
    sizes = (tokens, heads, size, rotary, int(is_interleaved))
    tables = (_at(cosine.contiguous()), _at(sine.contiguous()))
    find("rotate", x.dtype)(_at(rows), *tables, *map(_long, sizes))
    return rows.transpose(0, 1)[None]


_long = ctypes.c_int64


def _at(tensor: torch.Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())

"""The C++ of the training: compiled at first use, for float16 where this CPU can multiply that
(AVX512-FP16), else for bfloat16 or float32, whichever multiplies faster here.

kernels.cpp is for all three. The matrix products of float16 are in products.cpp, attention.cpp and feed.cpp,
all others are PyTorch's. A C++ compiler is needed.
"""

import ctypes
import functools
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LONGEST, WORDS = 4096, 65536  # numbers in a row, as in kernels.cpp and products.h
_FLAGS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", "-pthread", "-std=c++17")
_SOURCES = ("kernels.cpp", "products.cpp", "attention.cpp", "feed.cpp")
_MEANS = {torch.float16: "-DHALF", torch.float32: "-DFLOAT", torch.bfloat16: "-DBFLOAT"}
_SCALE = 1024.0  # of the gradients of halves on their way: the smallest normal half is 6e-5
_MOST_THREADS = 8  # as in products.h
_PROBE = "#ifndef __AVX512FP16__\n#error\n#endif\n"


@functools.cache
def number() -> torch.dtype:
    """The type of the numbers that are multiplied. Some CPUs know bfloat16, but not faster."""
    if knows_halves():
        return torch.float16
    both = (torch.bfloat16, torch.float32)
    return min(both, key=lambda dtype: min(_time(dtype) for _ in range(3)))


def knows_halves() -> bool:
    """Whether this CPU multiplies halves, and the compiler knows it."""
    if shutil.which("c++") is None:
        return False
    probe = ["c++", "-march=native", "-fsyntax-only", "-x", "c++", "-"]
    done = subprocess.run(probe, input=_PROBE, text=True, capture_output=True, check=False)
    return done.returncode == 0


def scale() -> float:
    """By how much gradients are larger on their way through the network."""
    return _SCALE if number() == torch.float16 else 1.0


def _time(dtype: torch.dtype) -> float:
    """Seconds that some products of the usual size take."""
    rows, weight = torch.ones(2048, 160, dtype=dtype), torch.ones(160, 576, dtype=dtype)
    begun = time.process_time()
    for _ in range(20):
        rows @ weight
    return time.process_time() - begun


@functools.cache
def _library(dtype: torch.dtype) -> ctypes.CDLL:
    sources = _SOURCES if dtype == torch.float16 else _SOURCES[:1]
    paths = [str(Path(__file__).with_name(name)) for name in sources]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "kernels.so"
        subprocess.run(["c++", *_FLAGS, _MEANS[dtype], "-o", str(made), *paths], check=True)
        library = ctypes.CDLL(str(made))
    entropy = library.judge if dtype == torch.float16 else library.entropy
    entropy.restype = ctypes.c_double
    return library


def call(name: str, *arguments: Tensor | int | float) -> Any:
    """Calls one function of the C++; tensors go as pointers."""
    return getattr(_library(number()), name)(*map(_pass, arguments))


def use_threads(count: int) -> None:
    """How many threads share the work: of this C++ for halves, of PyTorch for all else."""
    is_ours = number() == torch.float16
    torch.set_num_threads(1 if is_ours else count)
    if is_ours:
        call("set_threads", max(1, min(count, _MOST_THREADS)))


def _pass(argument: Tensor | int | float) -> Any:
    if isinstance(argument, Tensor):
        assert argument.is_contiguous(), "kernels need whole rows"
        return ctypes.c_void_p(argument.data_ptr())
    return ctypes.c_float(argument) if isinstance(argument, float) else ctypes.c_int64(argument)

"""How the twin is compiled: each function once, by itself, and kept on the disk.

Numba links a function's callees into it and optimizes all of them again, level by level, which takes minutes for an engine of
this size. So a function that is `compiled` is an object of its own that others call by its symbol; only small ones are `inlined`.
Compiled code is kept in a folder that is named by the model's sources, because numba itself looks at one file at a time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from unittest.mock import patch

import llvmlite.binding
import numba
from llvmlite import ir
from numba import cfunc, njit, types
from numba.core.cpu import CPUContext

_Function = TypeVar("_Function", bound=Callable[..., Any])

CACHE_VARIABLE = "RUSHPROOF_COMPILED_CACHE"
_MEMORY = {"m": types.CPointer(types.int64), "f": types.CPointer(types.float64)}
_TYPES = {"int": types.int64, "bool": types.int64, "float": types.float64, "None": types.void}


def compiled(function: _Function) -> _Function:
    """An engine's function, by itself. Its signature is that of the annotations; `m` and `f` are the memory."""
    notes = dict(function.__annotations__)
    returns = _TYPES[notes.pop("return")]
    signature = returns(*(_MEMORY[name] if name in _MEMORY else _TYPES[kind] for name, kind in notes.items()))
    with cached(), patch.object(CPUContext, "create_cfunc_wrapper", _wrap):
        made = cfunc(signature, cache=True, error_model="numpy", forceinline=True)(function)
    symbol = f"rushproof_{function.__module__.rpartition('.')[2]}_{function.__name__}"
    llvmlite.binding.add_symbol(symbol, made.address)
    _KEPT.append(made)
    return cast(_Function, types.ExternalFunction(symbol, signature))


def _wrap(context: Any, library: Any, described: Any, _environment: Any, _helper: Any) -> None:
    """The C function around a compiled one, which becomes part of it: numba's own would call it, and so make two calls of each.

    Nothing raises in an engine, so the wrapper has nothing to tell of exceptions.
    """
    module, convention = context.create_module("cfunc_wrapper"), context.call_conv
    arguments = [context.get_value_type(each) for each in described.argtypes]
    returned = context.get_value_type(described.restype)
    inner = ir.Function(
        module, convention.get_function_type(described.restype, described.argtypes), described.llvm_func_name
    )
    outer = ir.Function(module, ir.FunctionType(returned, arguments), described.llvm_cfunc_wrapper_name)
    builder = ir.IRBuilder(outer.append_basic_block("entry"))
    _, out = convention.call_function(builder, inner, described.restype, described.argtypes, outer.args)
    builder.ret(out)
    library.add_ir_module(module)


def inlined(function: _Function) -> _Function:
    """A small function, which becomes part of each that calls it."""
    return cast(_Function, njit(error_model="numpy", forceinline=True)(function))


def entry(function: Any) -> Any:
    """The callable of an engine's function `(m, f)` for Python."""
    return next(made.ctypes for made in _KEPT if f"_{made.__name__}" == function.symbol[-len(made.__name__) - 1 :])


_KEPT: list[Any] = []


@contextmanager
def cached() -> Iterator[None]:
    """While this lasts, what is decorated is kept in this version's folder."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_FOLDER)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def _folder() -> Path:
    """Where this version of the engine is kept."""
    model = Path(__file__).resolve().parents[1]
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(model.rglob("*.py")):
        digest.update(path.read_bytes())
    said = os.environ.get(CACHE_VARIABLE)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rushproof"
    return (Path(said) if said else home) / f"model-{digest.hexdigest()}"


_FOLDER = _folder()

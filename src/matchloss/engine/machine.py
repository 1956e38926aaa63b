"""LLVM, by llvmlite: text of a module to machine code for this processor, and machine code to an address in this process."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from matchloss.engine.values import NotCompilable

WIDE = "+avx512fp16"  # Sapphire Rapids and later; see entry.module


@cache
def processor() -> tuple[str, str]:
    """The processor's name and features, as LLVM says them. MATCHLOSS_CPU=generic stands for the least of this architecture."""
    asked = os.environ.get("MATCHLOSS_CPU", "").strip()
    return (asked, "") if asked else (llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())


def identity() -> str:
    """All that machine code depends on besides the text: LLVM, the processor, the system."""
    return " ".join((llvmlite.__version__, llvm.get_default_triple(), *processor()))


@cache
def _target() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = processor()
    try:
        triple = llvm.Target.from_default_triple()
        return triple.create_target_machine(cpu=name, features=features, opt=3, reloc="static", codemodel="jitdefault", jit=True)
    except RuntimeError as error:
        raise NotCompilable(f"LLVM has no code for this processor, {name}: {error}") from error


def machine_code(module: str) -> bytes:
    """An object file of this module, optimised."""
    target = _target()
    try:
        parsed = llvm.parse_assembly(module)
    except RuntimeError as error:
        raise NotCompilable(f"LLVM refuses a loop: {error}") from error
    parsed.triple, parsed.data_layout = llvm.get_default_triple(), str(target.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    # Vectors of several registers already keep the processor busy; unrolled as well, a loop takes a third longer to compile.
    options.loop_vectorization, options.slp_vectorization, options.loop_unrolling = True, False, False
    passes = llvm.create_pass_builder(target, options)
    passes.getModulePassManager().run(parsed, passes)
    return target.emit_object(parsed)


@cache
def _process() -> Any:
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
    for name in (*FUNCTIONS, *VARIABLES):
        llvm.add_symbol(name, ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, name)))
    return engine


def address_of(code: bytes, name: str) -> int:
    """Loads an object file; the address of one of its functions."""
    engine = _process()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine.get_function_address(name)


FUNCTIONS = {  # of Python's stable API: result and arguments
    "PyObject_GetBuffer": ("i32", "ptr, ptr, i32"), "PyBuffer_Release": ("void", "ptr"), "PyLong_AsLongLong": ("i64", "ptr"),
    "PyFloat_AsDouble": ("double", "ptr"), "PyObject_IsTrue": ("i32", "ptr"), "PyTuple_GetItem": ("ptr", "ptr, i64"),
    "PyLong_FromLongLong": ("ptr", "i64"), "PyFloat_FromDouble": ("ptr", "double"), "PyBool_FromLong": ("ptr", "i64"),
    "PyTuple_New": ("ptr", "i64"), "PyTuple_SetItem": ("i32", "ptr, i64, ptr"), "PyErr_Occurred": ("ptr", ""),
    "PyErr_NoMemory": ("ptr", ""),
    "PyErr_SetString": ("void", "ptr, ptr"), "PyEval_SaveThread": ("ptr", ""), "PyEval_RestoreThread": ("void", "ptr"),
    "PyMem_RawMalloc": ("ptr", "i64"), "PyMem_RawFree": ("void", "ptr"),
}  # fmt: skip
VARIABLES = ("PyExc_TypeError",)


class _Method(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p)]


_kept: list[_Method] = []  # Python keeps no copy of them
_FASTCALL = 0x80


def builtin(address: int, name: str) -> Callable[..., Any]:
    """The function at this address as a builtin of Python."""
    method = _Method(name.encode(), address, _FASTCALL, None)
    _kept.append(method)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    return make(ctypes.addressof(method), None, None)

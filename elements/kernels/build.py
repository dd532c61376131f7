"""Compile the C kernels through xobjects; also a script, so that building needs no torch.

    python build.py MODULE_NAME FOLDER

writes the module into FOLDER, which is also where xobjects leaves its temporary files.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import sysconfig
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

REALS = {"float32": "float", "float64": "double"}
SHAPES = {"cic": 2, "tsc": 3}  # nodes that a particle touches along each axis
SOURCE = Path(__file__).with_name("particle_mesh.c")  # for every shape and precision
SPECTRUM = Path(__file__).with_name("spectrum.c")  # for every precision
PROGRAM = ("state.c", "flights.c", "focusing.c", "kicks.c", "program.c")  # joined, as SPECTRUM
PRELUDE = """
#include <math.h>
#include <stdint.h>
#include <string.h>
static inline float root_float32(float square) { return sqrtf(square); }
static inline double root_float64(double square) { return sqrt(square); }
#ifdef _OPENMP
#include <omp.h>
#define SC_THREAD omp_get_thread_num()
#define SC_TEAM omp_get_num_threads()
#else
#define SC_THREAD 0
#define SC_TEAM 1
#endif
#ifdef __linux__
#include <sys/mman.h>
#endif
#ifdef __AVX__
#include <immintrin.h>
#endif
/* Copy without reading what is overwritten, and without keeping it in the caches. */
static void stream_past_caches(void *to, const void *from, int64_t n) {
#ifdef __AVX__
  const int64_t ahead = -(intptr_t)to & 31, first = ahead < n ? ahead : n;
  memcpy(to, from, first);
  int64_t i = first;
  for (; i + 32 <= n; i += 32)
    _mm256_stream_si256((__m256i *)((char *)to + i),
                        _mm256_loadu_si256((const __m256i *)((const char *)from + i)));
  memcpy((char *)to + i, (const char *)from + i, n - i);
#else
  memcpy(to, from, n);
#endif
}
/* Ask for large pages before fresh memory is touched: faults on small ones cost more than
   all arithmetic on the particles. */
void advise_large_pages(uint8_t *start, int64_t n) {
#ifdef MADV_HUGEPAGE
  const uintptr_t page = 1 << 21;
  const uintptr_t first = ((uintptr_t)start + page - 1) & ~(page - 1);
  const uintptr_t last = ((uintptr_t)start + n) & ~(page - 1);
  if (last > first) madvise((void *)first, last - first, MADV_HUGEPAGE);
#endif
}
int64_t has_openmp(void) {
#ifdef _OPENMP
  return 1;
#else
  return 0;
#endif
}
"""
# xobjects asks for strict C99, which forbids fused multiply-add; errno is never looked at.
COMMON_FLAGS = ("-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi")
# Tried in this order until one compiles: not every compiler knows these.
OPTIONAL_FLAGS = (("-march=native", "-fopenmp"), ("-fopenmp",), ("-march=native",), ())

# name: (what it returns, arguments as name:type); * is a pointer, REAL the precision.
Signatures: TypeAlias = dict[str, tuple[str | None, str]]
PARTICLE_MESH: Signatures = {
    "deposit": (
        "int64",
        "coordinates:REAL* weight:REAL* weight_step:int64 alive:uint8* n:int64 frame:float64* "
        "nodes:int64* threads:int64 charge:REAL* grids:REAL*",
    ),
    "kick": (
        None,
        "coordinates:REAL* alive:uint8* n:int64 frame:float64* nodes:int64* potential:REAL* "
        "factor:float64* threads:int64 kicked:REAL*",
    ),
    "adjoint_deposit": (
        None,
        "coordinates:REAL* alive:uint8* n:int64 frame:float64* nodes:int64* gradient:REAL* "
        "factor:float64* threads:int64 source:REAL* grids:REAL*",
    ),
    "adjoint_gather": (
        None,
        "coordinates:REAL* weight:REAL* weight_step:int64 alive:uint8* n:int64 frame:float64* "
        "nodes:int64* potential:REAL* adjoint:REAL* gradient:REAL* factor:float64* threads:int64 "
        "result:REAL* weights:REAL* totals:float64*",
    ),
}
SPECTRAL: Signatures = {
    "filter": (
        None,
        "spectrum:REAL* octant:REAL* nodes:int64* first:int64 rows:int64 threads:int64",
    ),
}
PROGRAMS: Signatures = {
    "program": (
        None,
        "coordinates:REAL* moved:REAL* codes:int64* n_codes:int64 numbers:float64* size:int64 "
        "n:int64 batch:int64 streams:int64 threads:int64",
    ),
    "program_gradient": (
        None,
        "coordinates:REAL* upstream:REAL* result:REAL* codes:int64* n_codes:int64 "
        "numbers:float64* n_numbers:int64 sums:float64* tape:REAL* size:int64 n:int64 "
        "batch:int64 streams:int64 threads:int64",
    ),
}


def source() -> str:
    """The text of every shape and precision."""
    mesh, program = SOURCE.read_text(), "".join(SOURCE.with_name(n).read_text() for n in PROGRAM)
    others = (SPECTRUM.read_text(), program)
    parts = [PRELUDE, *(_of_precision(text, real, real) for text, real in product(others, REALS))]
    for (shape, touched), real in product(SHAPES.items(), REALS):
        body = _of_precision(mesh, real, f"{shape}_{real}")
        parts.append(f"#define TOUCHED {touched}\n{body}\n#undef TOUCHED")
    return "\n".join(parts)


def _of_precision(text: str, real: str, ending: str) -> str:
    return text.replace("_REAL", f"_{ending}").replace("REAL", REALS[real])


def module_name() -> str:
    """A name that changes with everything that the compiled module depends on."""
    depends = (
        source(),
        PARTICLE_MESH,
        SPECTRAL,
        PROGRAMS,
        COMMON_FLAGS,
        OPTIONAL_FLAGS,
        version("xobjects"),
        sysconfig.get_config_var("SOABI") or sys.version,
        platform.platform(),
        _processor(),
    )
    return "sc_bridge_" + hashlib.sha256(repr(depends).encode()).hexdigest()[:16]


def _processor() -> str:
    """What -march=native compiles for: a cache folder may be shared by several machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    wanted = ("flags", "features", "model name")
    found = {line for line in lines if line.lower().startswith(wanted)}
    return "\n".join(sorted(found))


def descriptions() -> dict[str, Any]:
    """Describe every kernel to xobjects, keyed by its C name."""
    import xobjects as xo

    types = {"int64": xo.Int64, "uint8": xo.UInt8, "float32": xo.Float32, "float64": xo.Float64}
    memory = [xo.Arg(xo.UInt8, pointer=True, name="start"), xo.Arg(xo.Int64, name="n")]
    kernels = {
        "has_openmp": xo.Kernel(c_name="has_openmp", args=[], ret=xo.Arg(xo.Int64)),
        "advise_large_pages": xo.Kernel(c_name="advise_large_pages", args=memory),
    }
    meshes = [(f"{shape}_{real}", real, PARTICLE_MESH) for shape, real in product(SHAPES, REALS)]
    singles = [(real, real, {**SPECTRAL, **PROGRAMS}) for real in REALS]
    for ending, real, signatures in [*meshes, *singles]:
        for name, (returned, signature) in signatures.items():
            args = []
            for argument in signature.split():
                label, kind = argument.replace("REAL", real).split(":")
                args.append(xo.Arg(types[kind.rstrip("*")], pointer=kind.endswith("*"), name=label))
            ret = xo.Arg(types[returned]) if returned else None
            c_name = f"{name}_{ending}"
            kernels[c_name] = xo.Kernel(c_name=c_name, args=args, ret=ret)
    return kernels


def compile_into(folder: str, name: str) -> None:
    """Compile with the most of the optional flags that the compiler takes."""
    import xobjects as xo

    os.chdir(folder)
    failures = []
    for flags in OPTIONAL_FLAGS:
        link = tuple(flag for flag in flags if flag == "-fopenmp")
        try:
            xo.ContextCpu().build_kernels(
                kernel_descriptions=descriptions(),
                sources=[source()],
                specialize=False,
                module_name=name,
                containing_dir=folder,
                extra_compile_args=COMMON_FLAGS + flags,
                extra_link_args=link,
            )
            return
        except Exception as error:  # whatever cffi, setuptools or the compiler raise
            failures.append(f"{' '.join(flags) or 'no flags'}: {error}")
    raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    compile_into(sys.argv[2], sys.argv[1])

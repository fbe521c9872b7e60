"""Runs one WASI command under the reference runtime, PyPI's `wasmtime`, as the mesh lays things out: /in, /out, /tmp.

Reads what to run from standard input, as JSON; writes the exit code and the seconds to standard output. `check` starts it
inside the environment that has `wasmtime`.
"""

import json
import os
import sys
import time

import wasmtime


def run(spec):
    """Exit code, or `trapped`, and the seconds that compiling and running took."""
    began = time.monotonic()
    engine = wasmtime.Engine()
    module = wasmtime.Module.from_file(engine, spec["wasm"])
    compiled = time.monotonic()
    wasi = wasmtime.WasiConfig()
    wasi.argv = [spec["name"], *spec["args"]]
    wasi.env = list(spec["env"].items())
    wasi.stdin_file = spec["stdin"]
    wasi.stdout_file = os.path.join(spec["folder"], "stdout")
    wasi.stderr_file = os.path.join(spec["folder"], "stderr")
    for name in ("in", "out", "tmp"):
        wasi.preopen_dir(os.path.join(spec["folder"], name), f"/{name}")
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    store = wasmtime.Store(engine)
    store.set_wasi(wasi)
    code = 0
    try:
        linker.instantiate(store, module).exports(store)["_start"](store)
    except wasmtime.ExitTrap as exit_trap:
        code = exit_trap.code
    except wasmtime.Trap:
        code = "trapped"
    return {"exit": code, "compile": compiled - began, "run": time.monotonic() - compiled}


json.dump(run(json.load(sys.stdin)), sys.stdout)

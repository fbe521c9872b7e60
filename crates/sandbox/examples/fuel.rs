//! What determinism costs: our kernels natively and as WebAssembly, with and without fuel and canonical NaNs.
//! `cargo run --release -p pocketmesh-sandbox --example fuel`.
//!
//! The engine is set up here and not by the crate, because the crate offers no profile without fuel. The host is the
//! least that these two programs need: arguments in, output thrown away.

mod kernels;

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};
use wasmtime::{Caller, Config, Engine, Extern, Linker, Memory, Module, Store};

/// Every twentieth of the 200 tasks of either work.
const TASKS: [u32; 10] = [0, 20, 40, 60, 80, 100, 120, 140, 160, 180];
const ROUNDS: usize = 3;
const WASI: &str = "wasi_snapshot_preview1";

fn main() -> Result<(), Box<dyn Error>> {
    println!("seconds for ten tasks, best of {ROUNDS}      primes   × native   mandelbrot   × native");
    let native = [best(|| native(kernels::primes))?, best(|| native(kernels::mandelbrot))?];
    line("native", native, native);
    for (label, fuel, nan) in
        [("plain", false, false), ("fuel", true, false), ("canonical NaNs", false, true), ("both: det-1", true, true)]
    {
        let mut config = Config::new();
        config.consume_fuel(fuel).cranelift_nan_canonicalization(nan);
        let engine = Engine::new(&config)?;
        let mut times = [Duration::ZERO; 2];
        for (time, name) in times.iter_mut().zip(["primes", "mandelbrot"]) {
            let path = format!("{}/../guests/wasm/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
            let module = Module::from_file(&engine, path)?;
            *time = best(|| Ok(TASKS.iter().try_for_each(|&task| run(&module, fuel, task))?))?;
        }
        line(label, times, native);
    }
    Ok(())
}

fn line(label: &str, [primes, mandelbrot]: [Duration; 2], [native_primes, native_mandelbrot]: [Duration; 2]) {
    let (a, b) = (primes.as_secs_f64(), mandelbrot.as_secs_f64());
    let ratios = (a / native_primes.as_secs_f64(), b / native_mandelbrot.as_secs_f64());
    println!("{label:<36} {a:8.3} {:10.2} {b:12.3} {:10.2}", ratios.0, ratios.1);
}

fn best(mut body: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        body()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

fn run(module: &Module, fuel: bool, task: u32) -> wasmtime::Result<()> {
    let mut linker = Linker::<Vec<u8>>::new(module.engine());
    linker.func_wrap(WASI, "args_sizes_get", |mut caller: Caller<'_, Vec<u8>>, count: u32, bytes: u32| {
        let len = caller.data().len() as u32;
        put(&mut caller, count, &2u32.to_le_bytes())?;
        put(&mut caller, bytes, &len.to_le_bytes()).map(|()| 0)
    })?;
    linker.func_wrap(WASI, "args_get", |mut caller: Caller<'_, Vec<u8>>, list: u32, text: u32| {
        let args = caller.data().clone();
        put(&mut caller, text, &args)?;
        put(&mut caller, list, &text.to_le_bytes())?;
        put(&mut caller, list + 4, &(text + 2).to_le_bytes()).map(|()| 0)
    })?;
    linker.func_wrap(WASI, "fd_write", |mut caller: Caller<'_, Vec<u8>>, _: u32, list: u32, count: u32, at: u32| {
        let memory = memory(&mut caller)?;
        let mut written = 0;
        for vector in 0..count {
            let mut len = [0; 4];
            memory.read(&caller, (list + 8 * vector + 4) as usize, &mut len)?;
            written += u32::from_le_bytes(len);
        }
        put(&mut caller, at, &written.to_le_bytes()).map(|()| 0)
    })?;
    let mut store = Store::new(module.engine(), format!("x\0{task}\0").into_bytes());
    if fuel {
        store.set_fuel(u64::MAX)?;
    }
    linker.define_unknown_imports_as_default_values(&mut store, module)?;
    let instance = linker.instantiate(&mut store, module)?;
    instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(store, ())
}

fn put(caller: &mut Caller<'_, Vec<u8>>, at: u32, bytes: &[u8]) -> wasmtime::Result<()> {
    Ok(memory(caller)?.write(caller, at as usize, bytes)?)
}

fn memory(caller: &mut Caller<'_, Vec<u8>>) -> wasmtime::Result<Memory> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => Err(wasmtime::Error::msg("a command exports its memory")),
    }
}

fn native(kernel: fn(u32) -> u64) -> Result<(), Box<dyn Error>> {
    for task in TASKS {
        black_box(kernel(black_box(task)));
    }
    Ok(())
}

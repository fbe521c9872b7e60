//! What the sandbox costs on this machine: `cargo run --release -p pocketmesh-sandbox --example measure`.
//!
//! Only ratios within one run mean anything: all of a run's lines suffer alike from what else the machine does.

mod kernels;
mod sealing;

use pocketmesh_sandbox::sealed::executor_main;
use pocketmesh_sandbox::{Backend, Config, Contents, Deadline, Engine, Program, Task};
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::{BlobId, Exit, UnixTime};
use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

const GUESTS: [&str; 6] = ["noop", "mandelbrot", "primes", "textgen", "wordcount", "wordmerge"];
const NOOPS: u32 = 5_000;
/// Every tenth of the 200 tasks of either work, so that a pass takes a second.
const TASKS: [u32; 20] = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150, 160, 170, 180, 190];

fn main() -> ExitCode {
    // The sealed executors are this program too.
    if std::env::args().nth(1).as_deref() == Some("executor") {
        return executor_main();
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Box<dyn Error>> {
    compile_times()?;
    noop_times()?;
    sealing::sealed_times()?;
    sealing::lateness()?;
    kernel_times()
}

fn wasm(name: &str) -> std::io::Result<Vec<u8>> {
    std::fs::read(format!("{}/../guests/wasm/{name}.wasm", env!("CARGO_MANIFEST_DIR")))
}

fn program(engine: &Engine, name: &str) -> Result<Program, Box<dyn Error>> {
    let wasm = wasm(name)?;
    Ok(engine.load(BlobId::of(&wasm), &|_| Ok(wasm.clone()))?)
}

fn task(args: Vec<String>, stdin: Vec<u8>) -> Task {
    Task {
        program: BlobId::default(),
        name: "measure".into(),
        args,
        env: Vec::new(),
        stdin: stdin.into(),
        files: Arc::default(),
        input_name: String::new(),
        limits: TaskLimits::default(),
        epoch: UnixTime(0),
        seed: [0; 32],
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn compile_times() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let config = Config { cache_dir: Some(directory.path().join("compiled")), ..Config::default() };
    println!("program         KiB wasm   ms to compile   ms from disk   KiB compiled");
    for name in GUESTS {
        let mut times = [Duration::ZERO; 2];
        let mut compiled = 0;
        for time in &mut times {
            let engine = Engine::new(&config)?;
            let start = Instant::now();
            compiled = program(&engine, name)?.compiled_bytes();
            *time = start.elapsed();
        }
        let size = wasm(name)?.len() as f64 / 1024.0;
        let compiled = compiled as f64 / 1024.0;
        println!("{name:<15} {size:8.1} {:15.1} {:14.2} {compiled:14.0}", millis(times[0]), millis(times[1]));
    }
    Ok(())
}

fn configs() -> [(&'static str, Config); 4] {
    let base = Config::default();
    [
        ("pooled, deadline inside", base.clone()),
        ("pooled, deadline outside", Config { deadline: Deadline::Outside, ..base.clone() }),
        ("on demand, deadline inside", Config { pooling: false, ..base.clone() }),
        ("on demand, deadline outside", Config { pooling: false, deadline: Deadline::Outside, ..base }),
    ]
}

fn noop_times() -> Result<(), Box<dyn Error>> {
    println!("\nno-op task                        µs a task (best of 3)   fuel");
    for (label, config) in configs() {
        let engine = Engine::new(&config)?;
        let program = program(&engine, "noop")?;
        let mut best = Duration::MAX;
        let mut fuel = 0;
        for _ in 0..3 {
            let start = Instant::now();
            for _ in 0..NOOPS {
                fuel = engine.run(&program, task(Vec::new(), vec![1; 64]), Contents::default())?.outcome.fuel.0;
            }
            best = best.min(start.elapsed() / NOOPS);
        }
        println!("{label:<35} {:20.1} {fuel:8}", best.as_secs_f64() * 1e6);
    }
    Ok(())
}

fn kernel_times() -> Result<(), Box<dyn Error>> {
    println!("\n20 tasks each                       primes: s   × native   mandelbrot: s   × native");
    let natives = [time(kernels::primes), time(kernels::mandelbrot)].map(|time| time.as_secs_f64());
    println!("{:<33} {:11.2} {:10.2} {:15.2} {:10.2}", "native, plain loops", natives[0], 1.0, natives[1], 1.0);
    let mut configs = configs().to_vec();
    configs.truncate(2);
    for (label, config) in configs {
        let engine = Engine::new(&config)?;
        let mut seconds = [0.0; 2];
        let mut fuel = [0; 2];
        for (which, name) in ["primes", "mandelbrot"].into_iter().enumerate() {
            let program = program(&engine, name)?;
            let start = Instant::now();
            for index in TASKS {
                let run = engine.run(&program, task(vec![index.to_string()], Vec::new()), Contents::default())?;
                assert_eq!(run.outcome.exit, Exit::Code(0));
                fuel[which] += run.outcome.fuel.0;
            }
            seconds[which] = start.elapsed().as_secs_f64();
        }
        let [primes, mandelbrot] = seconds;
        let ratios = [primes / natives[0], mandelbrot / natives[1]];
        println!("{label:<33} {primes:11.2} {:10.2} {mandelbrot:15.2} {:10.2}", ratios[0], ratios[1]);
        println!(
            "{:<33} {:11.1} {:26.1}",
            "  nanoseconds per 100 fuel",
            primes * 1e11 / fuel[0] as f64,
            mandelbrot * 1e11 / fuel[1] as f64
        );
    }
    let engine = Engine::new(&Config { backend: Backend::Pulley, ..Config::default() })?;
    let program = program(&engine, "primes")?;
    let start = Instant::now();
    engine.run(&program, task(vec![TASKS[0].to_string()], Vec::new()), Contents::default())?;
    println!("{:<33} {:11.2}   (one task, times 20)", "Pulley", start.elapsed().as_secs_f64() * TASKS.len() as f64);
    Ok(())
}

fn time(kernel: fn(u32) -> u64) -> Duration {
    let start = Instant::now();
    for index in TASKS {
        black_box(kernel(black_box(index)));
    }
    start.elapsed()
}

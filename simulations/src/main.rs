//! The simulator's command line: run a scenario, compare two results, list what there is.
//!
//! Only here is the machine's clock read: how long a run took is no part of what it did.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use pocketmesh_sim::{
    Plant, Report, Scenario, World, compare, grid, plot,
    report::{Circumstances, number},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

/// Thousands of peers in virtual time, running the real protocol.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a scenario; the exit code is 1 if a checker found something.
    Run {
        /// The scenario: a TOML file.
        scenario: PathBuf,
        /// What decides everything that the scenario leaves open.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Write the result to this file.
        #[arg(long)]
        json: Option<PathBuf>,
        /// Draw the run into this file.
        #[arg(long)]
        svg: Option<PathBuf>,
        /// Break something on purpose; `list` names what.
        #[arg(long)]
        plant: Option<Plant>,
        /// Tell the story of this job, by its number in the run.
        #[arg(long)]
        trace: Option<u32>,
        /// Run so many seeds, from `--seed` on, and stop at the first that fails.
        #[arg(long, default_value_t = 1)]
        seeds: u64,
    },
    /// Run every mechanism that checks results against every attacker; the exit code is 1 if the gate is broken.
    Grid {
        /// A tenth of the windows, for every change.
        #[arg(long)]
        quick: bool,
        /// What decides everything.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Write all rows to this file.
        #[arg(long)]
        json: Option<PathBuf>,
        /// Draw cost against error into this file.
        #[arg(long)]
        svg: Option<PathBuf>,
    },
    /// Compare two results.
    Compare {
        /// A result that `run --json` wrote.
        before: PathBuf,
        /// Another.
        after: PathBuf,
    },
    /// List scenarios and planted bugs.
    List {
        /// Where the scenarios are.
        #[arg(default_value = "simulations")]
        folder: PathBuf,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Run { scenario, seed, json, svg, plant, trace, seeds } => {
            for seed in seed..seed.saturating_add(seeds) {
                let (world, report) = run(&scenario, seed, plant, trace)?;
                world.trace.lines.iter().for_each(|line| println!("{line}"));
                print!("{}", report.table());
                if let Some(path) = &json {
                    write(path, &serde_json::to_string_pretty(&report)?)?;
                }
                if let Some(path) = &svg {
                    write(path, &plot::of(&world, &report.scenario))?;
                }
                if !report.passed() {
                    return Ok(ExitCode::FAILURE);
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Grid { quick, seed, json, svg } => {
            let size = if quick { grid::Size::QUICK } else { grid::Size::FULL };
            run_grid(size, seed, json.as_deref(), svg.as_deref())
        }
        Command::Compare { before, after } => {
            let read = |path: &Path| -> anyhow::Result<Report> { Ok(serde_json::from_str(&text_of(path)?)?) };
            print!("{}", compare::table(&read(&before)?, &read(&after)?));
            Ok(ExitCode::SUCCESS)
        }
        Command::List { folder } => list(&folder).map(|()| ExitCode::SUCCESS),
    }
}

fn run_grid(size: grid::Size, seed: u64, json: Option<&Path>, svg: Option<&Path>) -> anyhow::Result<ExitCode> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let rows = grid::run(&grid::cell::all(&grid::cell::SHARES), size, seed, threads, None);
    println!("{}", grid::table::page(&rows, size, seed).trim_end());
    if let Some(path) = json {
        write(path, &grid::row::json(&rows)?)?;
    }
    if let Some(path) = svg {
        write(path, &grid::picture::draw(&rows, seed))?;
    }
    let is_kept = rows.iter().all(|row| row.broken().is_empty());
    Ok(if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run(path: &Path, seed: u64, plant: Option<Plant>, trace: Option<u32>) -> anyhow::Result<(World, Report)> {
    let scenario = Scenario::parse(&text_of(path)?).with_context(|| format!("{}", path.display()))?;
    let mut command = format!("cargo run --release -p pocketmesh-sim -- run {} --seed {seed}", path.display());
    if let Some(plant) = plant {
        command = format!("{command} --plant {}", plant.name());
    }
    let began = Instant::now();
    let mut world = World::new(scenario, seed, plant);
    world.trace.job = trace;
    world.run();
    let how = Circumstances {
        scenario: path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
        command,
        took_s: began.elapsed().as_secs_f64(),
        rss_mib: peak_rss_mib(),
    };
    let report = Report::of(&world, how);
    Ok((world, report))
}

/// The most memory that this process had; 0 where the system does not say.
fn peak_rss_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: Option<f64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or_default() / 1024.0
}

fn list(folder: &Path) -> anyhow::Result<()> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("failed to list {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    for path in paths {
        if let Ok(scenario) = Scenario::parse(&text_of(&path)?) {
            println!("{:40} {:>8} peers  {}", path.display(), number(scenario.peers_in_all().into()), scenario.about);
        }
    }
    println!();
    for plant in Plant::ALL {
        println!("--plant {:20} {}; found by {}", plant.name(), plant.about(), plant.found_by());
    }
    Ok(())
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}

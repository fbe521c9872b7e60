//! What a run looks like: tasks and jobs, traffic, and how long things took.

use crate::{
    World,
    meter::Second,
    svg::{self, Line, Panel},
};

/// Seconds that one point of a rate is an average of.
const OVER: usize = 10;

/// A run as an SVG.
pub fn of(world: &World, name: &str) -> String {
    let seconds = &world.meter.seconds;
    let headline = format!("{name}, seed {}, {} peers", world.seed, world.nodes.len());
    let mut panels = vec![progress(seconds), population(seconds), traffic(seconds)];
    panels.extend(times(world, "offer_to_lease_ms", "From offer to first lease", "milliseconds"));
    panels.extend(times(world, "job_s", "From submission to the end of a job", "seconds"));
    svg::draw(&headline, &world.plan.about, &panels)
}

fn line(name: &str, seconds: &[Second], value: impl Fn(&Second) -> f64) -> Line {
    let points = seconds.iter().enumerate().map(|(at, second)| (at as f64 + 1.0, value(second))).collect();
    Line { name: name.into(), points }
}

fn panel(title: &str, x: &str, y: &str, lines: Vec<Line>) -> Panel {
    Panel { title: title.into(), x: x.into(), y: y.into(), lines }
}

fn progress(seconds: &[Second]) -> Panel {
    let lines = vec![line("tasks final", seconds, |second| second.tasks_final as f64)];
    panel("Tasks that are final", "virtual time, s", "tasks", lines)
}

fn population(seconds: &[Second]) -> Panel {
    let lines = vec![
        line("peers up", seconds, |second| second.up as f64),
        line("jobs under way", seconds, |second| second.jobs_open as f64),
    ];
    panel("Peers and jobs", "virtual time, s", "how many", lines)
}

/// Bytes a peer and second, each an average of some seconds.
fn traffic(seconds: &[Second]) -> Panel {
    let averaged: Vec<Second> = seconds.chunks(OVER).map(sum).collect();
    let rate = |name: &str, bytes: fn(&Second) -> u64| {
        let point = |(at, second): (usize, &Second)| {
            ((at * OVER + OVER / 2) as f64, bytes(second) as f64 / second.up.max(1) as f64)
        };
        Line { name: name.into(), points: averaged.iter().enumerate().map(point).collect() }
    };
    let lines = vec![
        rate("direct messages sent", |second| second.direct_bytes),
        rate("gossip heard, copies not counted", |second| second.gossip_bytes),
    ];
    panel("Traffic of a peer", "virtual time, s", "bytes a second", lines)
}

fn sum(chunk: &[Second]) -> Second {
    chunk.iter().fold(Second::default(), |sum, second| Second {
        direct_bytes: sum.direct_bytes + second.direct_bytes,
        gossip_bytes: sum.gossip_bytes + second.gossip_bytes,
        up: sum.up + second.up,
        ..sum
    })
}

/// The distribution of a measure: how many of a hundred took no longer.
fn times(world: &World, name: &str, title: &str, unit: &str) -> Option<Panel> {
    let mut values = world.meter.samples.get(name)?.clone();
    if values.len() < 5 {
        return None;
    }
    values.sort_by(f64::total_cmp);
    // The slowest hundredth would squeeze all others into a corner.
    let shown = &values[..(values.len() * 99).div_ceil(100)];
    let share = |at: usize| (at + 1) as f64 * 100.0 / values.len() as f64;
    let points = shown.iter().enumerate().map(|(at, &value)| (value, share(at))).collect();
    let line = Line { name: format!("{} measured, the slowest 1 % not shown", values.len()), points };
    Some(panel(title, unit, "% took no longer", vec![line]))
}

//! Whether programs run here, and behind which walls.

use super::finding::Finding;
use super::seals;
use pocketmesh_node::home::{Provide, Sandbox, SandboxBackend, SandboxExecutor};
use pocketmesh_node::local::{self, LocalTask};
use pocketmesh_types::Price;

/// The smallest program: `(module (func (export "_start")))`.
const SMALLEST: &[u8] =
    b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\x0a\x04\x01\x02\0\x0b";

/// A program that computes, and what it is told: some 150 million units of fuel of it.
const COMPUTING: &[u8] = include_bytes!("../../../../../crates/guests/wasm/mandelbrot.wasm");
const COMPUTED: [&str; 3] = ["2", "1024", "16"];
/// What the default price is meant for: a gigafuel in a third of a second.
const USUAL_SECONDS: f64 = 1.0 / 3.0;

/// Runs a program as the daemon would, and tells what it was kept from, and what its work is worth.
pub async fn look(sandbox: Sandbox, provide: &Provide) -> Vec<Finding> {
    let price = provide.price;
    let looked = tokio::task::spawn_blocking(move || {
        let mut findings = vec![programs(sandbox)];
        findings.extend(walls(sandbox));
        findings.push(speed(sandbox, price));
        findings
    });
    looked.await.unwrap_or_else(|error| vec![Finding::fails("programs", error.to_string())])
}

fn walls(sandbox: Sandbox) -> Vec<Finding> {
    if sandbox.executor == SandboxExecutor::InProcess {
        let text = "programs run inside the daemon: a flaw of the engine would lay open its keys and your files";
        return vec![Finding::lacks("seal", text).remedy("set `executor = \"sealed\"` in [sandbox]")];
    }
    match local::seal(sandbox) {
        Ok(seal) => seals::findings(&seal),
        Err(error) => vec![Finding::fails("seal", error.to_string())],
    }
}

/// How fast it computes here, now, and the price at which an hour of it brings what an hour brings anywhere.
fn speed(sandbox: Sandbox, price: Price) -> Finding {
    let args = COMPUTED.map(str::to_owned).to_vec();
    let task = LocalTask { program: COMPUTING.to_vec(), name: "doctor".into(), args, ..LocalTask::default() };
    match local::run(task, sandbox) {
        Ok(ran) if ran.outcome.is_success() && ran.outcome.fuel.0 > 0 => {
            let seconds = ran.ran_in.as_secs_f64() * 1e9 / ran.outcome.fuel.0 as f64;
            let suggested = suggest(seconds);
            Finding::ok(
                "price",
                format!(
                    "{} nano-credits per gigafuel, which takes {seconds:.2} s here now; {suggested} would bring what the default brings an \
                 hour of a usual core: `price` in [provide]",
                    price.0,
                ),
            )
        }
        Ok(ran) => Finding::lacks("price", format!("how fast this device is cannot be told: {}", ran.outcome.exit)),
        Err(error) => Finding::lacks("price", format!("how fast this device is cannot be told: {error}")),
    }
}

fn suggest(seconds_per_gigafuel: f64) -> u64 {
    let default = Provide::default().price.0 as f64;
    (default * seconds_per_gigafuel / USUAL_SECONDS).round().max(1.0) as u64
}

fn programs(sandbox: Sandbox) -> Finding {
    let task = LocalTask { program: SMALLEST.to_vec(), name: "doctor".into(), ..LocalTask::default() };
    match local::run(task, sandbox) {
        Ok(ran) if ran.outcome.is_success() => {
            let backend = match sandbox.backend {
                SandboxBackend::Compiled => "compiled to machine code",
                SandboxBackend::Interpreted => "interpreted",
            };
            Finding::ok("programs", format!("they run, {backend}; profile {}", ran.profile.short()))
        }
        Ok(ran) => Finding::fails("programs", format!("the smallest one fails: {}", ran.outcome.exit)),
        Err(error) => Finding::fails("programs", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_of_half_the_speed_is_to_ask_twice_as_much() {
        assert_eq!(suggest(USUAL_SECONDS), Provide::default().price.0);
        assert_eq!(suggest(2.0 * USUAL_SECONDS), 2 * Provide::default().price.0);
        assert_eq!(suggest(0.0), 1);
    }
}

//! Whether programs run here, and behind which walls.

use super::finding::Finding;
use super::seals;
use pocketmesh_node::home::{Sandbox, SandboxBackend, SandboxExecutor};
use pocketmesh_node::local::{self, LocalTask};

/// The smallest program: `(module (func (export "_start")))`.
const SMALLEST: &[u8] =
    b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\x0a\x04\x01\x02\0\x0b";

/// Runs a program as the daemon would, and tells what it was kept from.
pub async fn look(sandbox: Sandbox) -> Vec<Finding> {
    let looked = tokio::task::spawn_blocking(move || {
        let mut findings = vec![programs(sandbox)];
        findings.extend(walls(sandbox));
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

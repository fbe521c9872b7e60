//! `receipts`: what was paid for jobs, and proofs of refuted claims; all of it without a daemon.

mod paid;

use crate::cli::Receipts;
use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::output;
use crate::table::Table;
use pocketmesh_node::Home;
use pocketmesh_node::home::Sandbox;
use pocketmesh_node::proofs::{self, Account, PROOF_BYTES_MAX, Shelf, Verdict};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Runs one of the commands.
pub async fn dispatch(context: &Context, command: Receipts) -> Outcome {
    let context = context.clone();
    let run = move || match command {
        Receipts::List => paid::list(&context),
        Receipts::Verify { file } => paid::verify(&context, &file),
        Receipts::Export { job, output } => paid::export(&context, job, &output),
        Receipts::VerifyFraud { file } => verify_fraud(&context, &file),
        Receipts::ListFraud => list_fraud(&context),
    };
    tokio::task::spawn_blocking(run).await.map_err(Error::failed)?
}

/// Reads a proof and checks that it hangs together.
pub fn read(path: &Path) -> Result<Account, Error> {
    let shown = path.display();
    let cannot = |error| Error::usage(format!("cannot read {shown}: {error}"));
    let mut bytes = Vec::new();
    let limit = PROOF_BYTES_MAX as u64 + 1;
    File::open(path).map_err(cannot)?.take(limit).read_to_end(&mut bytes).map_err(cannot)?;
    proofs::read(&bytes).map_err(|error| Error::usage(format!("{shown}: {error}")))
}

fn verify_fraud(context: &Context, path: &Path) -> Outcome {
    let account = read(path)?;
    let verdict = proofs::verify(&account, Sandbox::default());
    let (name, exit, text) = match &verdict {
        Verdict::Fraud { requester_agrees, .. } => {
            let also = if *requester_agrees { "" } else { "; what the requester says it should be is wrong too" };
            ("fraud", Exit::Complete, format!("fraud proven: {} claimed a wrong result{also}", account.worker))
        }
        Verdict::Right => {
            let accuser = account.requester;
            ("right", Exit::Failed, format!("the claim is right: {accuser} accuses {} wrongly", account.worker))
        }
        Verdict::Undecided(why) => ("undecided", Exit::Partial, format!("it cannot be decided here: {why}")),
    };
    if context.json {
        output::json(&as_json(&account, &verdict, name))?;
        return Ok(exit);
    }
    output::text(format!(
        "{text}\njob        {} ({})\ntask       {}\nworker     {}\nclaimed    {}\nrequester  {}\nits own    {}{}",
        account.job,
        crate::terminal::one_line(&account.name),
        account.task,
        account.worker,
        account.claimed.digest(),
        account.requester,
        account.outcome.digest(),
        match &verdict {
            Verdict::Fraud { outcome, .. } => format!("\nrun here   {}", outcome.digest()),
            Verdict::Right => format!("\nrun here   {}", account.claimed.digest()),
            Verdict::Undecided(_) => String::new(),
        },
    ))?;
    Ok(exit)
}

fn as_json(account: &Account, verdict: &Verdict, name: &str) -> Value {
    let (here, requester_agrees, reason) = match verdict {
        Verdict::Fraud { outcome, requester_agrees } => (Some(outcome.digest()), Some(*requester_agrees), None),
        Verdict::Right => (Some(account.claimed.digest()), Some(false), None),
        Verdict::Undecided(why) => (None, None, Some(why)),
    };
    json!({
        "verdict": name, "job": account.job, "name": account.name, "task": account.task, "worker": account.worker,
        "requester": account.requester, "claim": account.claim, "claimed": account.claimed.digest(),
        "requester_outcome": account.outcome.digest(), "outcome": here, "requester_agrees": requester_agrees, "reason": reason,
    })
}

fn list_fraud(context: &Context) -> Outcome {
    let folder = Home::proofs_of(&context.dir);
    let paths = Shelf::new(folder.clone()).list();
    let paths = paths.map_err(|error| Error::failed(format!("cannot read {}: {error}", folder.display())))?;
    let proofs: Vec<_> = paths.iter().map(|path| (path, read(path))).collect();
    if context.json {
        let rows = proofs.iter().map(|(path, read)| match read {
            Ok(proof) => json!({
                "file": path, "job": proof.job, "task": proof.task, "worker": proof.worker,
                "requester": proof.requester, "left_out": proof.left_out,
            }),
            Err(error) => json!({ "file": path, "error": error.message() }),
        });
        output::json(&rows.collect::<Vec<_>>())?;
    } else if proofs.is_empty() {
        context.note(format!("no proofs in {}: no claim was refuted", folder.display()));
    } else {
        let mut table = Table::new(&["worker", "job", ">task", "file", ""]);
        for (path, read) in &proofs {
            let file = path.display().to_string();
            table.row(match read {
                Ok(proof) => [
                    proof.worker.to_string(),
                    proof.job.to_string()[..12].to_owned(),
                    proof.task.to_string(),
                    file,
                    if proof.left_out.is_empty() {
                        String::new()
                    } else {
                        format!("without {}", proof.left_out.join(", "))
                    },
                ],
                Err(_) => ["?".into(), String::new(), String::new(), file, "damaged".into()],
            });
        }
        output::text(format!("{table}`pocketmesh receipts verify-fraud FILE` replays one, here or anywhere"))?;
    }
    Ok(Exit::Complete)
}

//! `ledger`: the journal of a data folder, audited or shown.

use crate::cli::Ledger;
use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::{output, quantity};
use pocketmesh_node::Home;
use pocketmesh_node::money::audit::{self, AuditError, Report};
use pocketmesh_node::wallet;
use serde_json::json;

/// Runs one of the commands.
pub async fn dispatch(context: &Context, command: Ledger) -> Outcome {
    let context = context.clone();
    let run = move || match command {
        Ledger::Show => show(&context.home()?),
        Ledger::Audit { folder: None } => audit(&context, &context.home()?),
        Ledger::Audit { folder: Some(folder) } => audit(&context, &Home::open(folder)?),
    };
    tokio::task::spawn_blocking(run).await.map_err(Error::failed)?
}

fn show(home: &Home) -> Outcome {
    let mut shown = Ok(());
    let read = pocketmesh_node::read_journal(home, |record| {
        if shown.is_ok() {
            shown = output::json_line(&record);
        }
    });
    read.map_err(Error::failed).and(shown)?;
    Ok(Exit::Complete)
}

fn audit(context: &Context, home: &Home) -> Outcome {
    let report = audit::audit(home);
    if context.json {
        let good = report.is_ok();
        output::json(&match report {
            Ok(report) => as_json(&report),
            Err(error) => json!({ "good": false, "record": bad_record(&error), "reason": error.to_string() }),
        })?;
        return Ok(if good { Exit::Complete } else { Exit::Failed });
    }
    output::text(text(&report.map_err(Error::failed)?))?;
    Ok(Exit::Complete)
}

/// The number of the record that is to blame, if it is one.
fn bad_record(error: &AuditError) -> Option<u64> {
    match error {
        AuditError::Bad(bad) => Some(bad.sequence),
        AuditError::Read(_) => None,
    }
}

fn as_json(report: &Report) -> serde_json::Value {
    json!({
        "good": true, "peer": report.peer, "records": report.records, "money_records": report.money,
        "signatures": report.signatures, "chain": report.chain, "torn_bytes": report.torn_bytes,
        "wallet": wallet::from_standings(report.peer, &report.standings),
    })
}

fn text(report: &Report) -> String {
    let torn = match report.torn_bytes {
        0 => String::new(),
        bytes => format!(
            "\n{bytes} bytes behind them are no whole record: a crash has torn it, or it is being written just now"
        ),
    };
    format!(
        "good: {} in one chain of hashes, {} of them about money, {} checked; after each of these debits equal credits, no seat is paid \
         twice and no voucher falls\nends with {}{torn}\n\n{}",
        quantity::count(report.records, "record"),
        quantity::grouped(report.money),
        quantity::count(report.signatures, "signature"),
        report.chain,
        super::wallet::balance_text(&wallet::from_standings(report.peer, &report.standings)),
    )
}

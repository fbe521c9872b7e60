//! `receipts list|verify|export`: what was paid for jobs.

use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::table::Table;
use crate::{output, quantity};
use pocketmesh_node::money::history::{self, What};
use pocketmesh_node::money::receipts::{self, Account, FILE_BYTES_MAX};
use pocketmesh_types::{Credits, JobId, PeerId};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// Checks a file, and says what it holds.
pub fn verify(context: &Context, path: &Path) -> Outcome {
    let shown = path.display();
    let cannot = |error| Error::usage(format!("cannot read {shown}: {error}"));
    let mut bytes = Vec::new();
    File::open(path).map_err(cannot)?.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    let checked = receipts::check(&bytes);
    if context.json {
        let exit = if checked.is_ok() { Exit::Complete } else { Exit::Failed };
        output::json(&match checked {
            Ok(account) => as_json(&account),
            Err(refused) => json!({ "good": false, "reason": refused.to_string() }),
        })?;
        return Ok(exit);
    }
    output::text(text(&checked.map_err(|refused| Error::failed(format!("{shown}: {refused}")))?))?;
    Ok(Exit::Complete)
}

fn as_json(account: &Account) -> serde_json::Value {
    let paid = account.paid.iter().map(|paid| {
        json!({
            "payee": paid.payee, "receipts": paid.receipts, "tasks": paid.tasks, "fuel": paid.fuel.to_string(),
            "bytes": paid.bytes.to_string(), "amount": paid.amount, "acknowledged": paid.acknowledged,
        })
    });
    json!({
        "good": true, "job": account.job, "client": account.client, "total": account.total, "vouchers": account.vouchers,
        "signatures": account.signatures, "paid": paid.collect::<Vec<_>>(),
    })
}

fn text(account: &Account) -> String {
    let head = format!(
        "good: every signature, sum and root in it was checked\njob     {}\nclient  {}\n",
        account.job, account.client
    );
    if account.paid.is_empty() {
        return format!("{head}nothing was paid for it");
    }
    let mut table = Table::new(&[
        "payee",
        ">receipts",
        ">tasks",
        ">gigafuel",
        ">MiB moved",
        ">promised, nano",
        ">acknowledged, nano",
    ]);
    for paid in &account.paid {
        table.row([
            paid.payee.to_string(),
            paid.receipts.to_string(),
            paid.tasks.to_string(),
            quantity::gigafuel(paid.fuel),
            quantity::mebibytes(paid.bytes),
            quantity::nano(paid.amount),
            quantity::nano(paid.acknowledged),
        ]);
    }
    let (vouchers, signatures) =
        (quantity::count(account.vouchers as u64, "voucher"), quantity::count(account.signatures as u64, "signature"));
    let total = quantity::nano(account.total);
    format!("{head}\n{table}{total} nano-credits in all; {vouchers}, {signatures}; credit with peers, not redeemable")
}

/// Writes what was paid for a job into a new file.
pub fn export(context: &Context, job: JobId, path: &Path) -> Outcome {
    let bytes = receipts::gather(&context.home()?, job).map_err(Error::failed)?;
    let cannot = |error| Error::failed(format!("cannot write {}: {error}", path.display()));
    let mut file = File::options().write(true).create_new(true).open(path).map_err(cannot)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(cannot)?;
    if context.json {
        output::json(&json!({ "file": path, "job": job, "bytes": bytes.len() }))?;
    } else {
        context.note(format!("wrote {}: `pocketmesh receipts verify` checks it, here or anywhere", path.display()));
    }
    Ok(Exit::Complete)
}

/// What was paid for one job, either way.
#[derive(Debug, Default)]
struct Sum {
    receipts: u64,
    tasks: u64,
    bytes: u128,
    amount: u128,
}

/// Shows what was paid for each job.
pub fn list(context: &Context) -> Outcome {
    let mut sums: BTreeMap<(JobId, bool, PeerId), Sum> = BTreeMap::new();
    let add = |row: history::Row| {
        let (Some(job), is_ours) = (row.job.filter(|_| row.receipt.is_some()), row.what == What::Paid) else { return };
        let sum = sums.entry((job, is_ours, row.peer)).or_default();
        sum.receipts += 1;
        sum.tasks += row.tasks.unwrap_or_default();
        sum.bytes += u128::from(row.bytes.unwrap_or_default());
        sum.amount = sum.amount.saturating_add(row.amount.0);
    };
    history::visit(&context.home()?, add).map_err(Error::failed)?;
    if context.json {
        let rows = sums.iter().map(|((job, is_ours, peer), sum)| {
            json!({
                "job": job, "what": if *is_ours { "paid" } else { "received" }, "peer": peer, "receipts": sum.receipts,
                "tasks": sum.tasks, "bytes": sum.bytes.to_string(), "amount": Credits(sum.amount),
            })
        });
        output::json(&rows.collect::<Vec<_>>())?;
    } else if sums.is_empty() {
        context.note("no receipts: nothing was paid or received yet");
    } else {
        let mut table = Table::new(&["job", "", "peer", ">receipts", ">tasks", ">MiB moved", ">amount, nano"]);
        for ((job, is_ours, peer), sum) in &sums {
            table.row([
                job.to_string(),
                if *is_ours { "paid to" } else { "received from" }.into(),
                peer.to_string(),
                sum.receipts.to_string(),
                sum.tasks.to_string(),
                quantity::mebibytes(sum.bytes),
                quantity::nano(Credits(sum.amount)),
            ]);
        }
        output::text(table.to_string())?;
    }
    Ok(Exit::Complete)
}

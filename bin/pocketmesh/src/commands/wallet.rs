//! `wallet`: who owes whom. It is credit with peers, no money, and nobody redeems it.

use crate::cli::Wallet;
use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::table::Table;
use crate::terminal::one_line;
use crate::{output, quantity, wait};
use pocketmesh_api::{ClientError, Wallet as Accounts};
use pocketmesh_node::money::{audit, history};
use pocketmesh_node::wallet;
use std::collections::VecDeque;

/// What is said below every table of debts.
const NO_MONEY: &str = "credit with peers, not redeemable: amounts are in nano-credits";

/// Runs one of the commands.
pub async fn dispatch(context: &Context, command: Wallet) -> Outcome {
    match command {
        Wallet::Balance => balance(context).await,
        Wallet::History { last } => on_disk(context, move |context| show_history(context, last)).await,
        Wallet::Export => on_disk(context, export).await,
    }
}

async fn on_disk(context: &Context, run: impl FnOnce(&Context) -> Outcome + Send + 'static) -> Outcome {
    let context = context.clone();
    tokio::task::spawn_blocking(move || run(&context)).await.map_err(Error::failed)?
}

async fn balance(context: &Context) -> Outcome {
    let accounts = match context.client().wallet().await {
        Err(ClientError::NoDaemon(_)) => {
            let home = context.home()?;
            let audited = tokio::task::spawn_blocking(move || audit::audit(&home)).await.map_err(Error::failed)?;
            let report = audited.map_err(Error::failed)?;
            context.note("no daemon is running: this is what its journal comes to");
            wallet::from_standings(report.peer, &report.standings)
        }
        asked => asked?,
    };
    if context.json {
        output::json(&accounts)?;
    } else {
        output::text(balance_text(&accounts))?;
    }
    Ok(Exit::Complete)
}

/// Everybody with whom something came about, and the sum.
pub fn balance_text(accounts: &Accounts) -> String {
    let mut text = String::new();
    if accounts.accounts.is_empty() {
        text += "nobody owes anybody anything\n";
    } else {
        let mut table =
            Table::new(&["with", ">owed to us", ">owed by us", ">done by us", ">done by them", ">sum", ">under way"]);
        for account in &accounts.accounts {
            let under_way = quantity::signed(account.reserved_by_us, account.reserved_for_it);
            table.row([
                account.peer.to_string(),
                quantity::nano(account.owes_us),
                quantity::nano(account.owed_by_us),
                quantity::nano(account.done_by_us),
                quantity::nano(account.done_for_us),
                quantity::signed(account.owes_us, account.owed_by_us),
                under_way,
            ]);
        }
        let (to_us, by_us) = (accounts.owed_to_us, accounts.owed_by_us);
        let sum = quantity::signed(to_us, by_us);
        let cells =
            ["all together".into(), quantity::nano(to_us), quantity::nano(by_us), String::new(), String::new(), sum];
        table.row(cells);
        text += &format!("{table}{NO_MONEY}\n");
    }
    if let Some(reason) = &accounts.stopped {
        text += &format!("PAYMENTS ARE STOPPED: {}\n", one_line(reason));
    }
    for remark in &accounts.remarks {
        text += &format!("{} ago: {}\n", quantity::span(wait::since(remark.time)), one_line(&remark.text));
    }
    text
}

fn show_history(context: &Context, last: usize) -> Outcome {
    let (mut rows, mut before) = (VecDeque::new(), 0_u64);
    let keep = |row| {
        if rows.len() == last.max(1) {
            rows.pop_front();
            before += 1;
        }
        rows.push_back(row);
    };
    history::visit(&context.home()?, keep).map_err(Error::failed)?;
    if context.json {
        output::json(&rows)?;
        return Ok(Exit::Complete);
    }
    if rows.is_empty() {
        context.note("nothing was paid or received yet");
        return Ok(Exit::Complete);
    }
    if before > 0 {
        let rows = quantity::count(before, "older row");
        context.note(format!("{rows} left out: --last N shows more, `wallet export` all"));
    }
    let mut table = Table::new(&["time (UTC)", "what", "with", "job", ">tasks", ">amount", ">sum after"]);
    for row in &rows {
        table.row([
            quantity::utc(row.at),
            name(row.what).into(),
            row.peer.to_string(),
            row.job.map(|job| job.to_string()[..12].to_owned()).unwrap_or_default(),
            row.tasks.map(|tasks| tasks.to_string()).unwrap_or_default(),
            quantity::nano(row.amount),
            quantity::signed(row.owes_us, row.owed_by_us),
        ]);
    }
    output::text(format!("{table}{NO_MONEY}"))?;
    Ok(Exit::Complete)
}

fn name(what: history::What) -> &'static str {
    match what {
        history::What::Paid => "paid",
        history::What::Received => "received",
        history::What::Acknowledged => "acknowledged",
        history::What::WrittenOff => "written off",
        history::What::Settled => "settled",
        history::What::Forfeited => "forfeited",
    }
}

/// The columns of the CSV. Amounts are nano-credits with all their decimals; `sum_after` is what the peer owes us, less what we owe it.
const COLUMNS: &str = "record,time_utc,what,peer,job,receipt,lane,tasks,fuel,price,bytes,per_gib,amount,sum_after";

fn export(context: &Context) -> Outcome {
    let home = context.home()?;
    let mut rows = Vec::new();
    let (mut shown, json) = (Ok(()), context.json);
    if !json {
        output::text(COLUMNS)?;
    }
    let read = history::visit(&home, |row| {
        if json {
            rows.push(row);
        } else if shown.is_ok() {
            shown = output::text(csv_line(&row));
        }
    });
    read.map_err(Error::failed).and(shown)?;
    if json {
        output::json(&rows)?;
    }
    Ok(Exit::Complete)
}

/// No field holds a comma or a quote: they are ids, numbers, and words of ours.
fn csv_line(row: &history::Row) -> String {
    let fields = [
        row.record.to_string(),
        quantity::utc(row.at),
        name(row.what).into(),
        row.peer.to_string(),
        row.job.map(|job| job.to_string()).unwrap_or_default(),
        row.receipt.map(|receipt| receipt.to_string()).unwrap_or_default(),
        row.lane.map(|lane| lane.0.to_string()).unwrap_or_default(),
        row.tasks.map(|tasks| tasks.to_string()).unwrap_or_default(),
        row.fuel.map(|fuel| fuel.0.to_string()).unwrap_or_default(),
        row.price.map(|price| price.0.to_string()).unwrap_or_default(),
        row.bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
        row.per_gib.map(|per_gib| per_gib.0.to_string()).unwrap_or_default(),
        quantity::nano_exact(row.amount),
        quantity::signed_exact(row.owes_us, row.owed_by_us),
    ];
    fields.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pocketmesh_api::Account;
    use pocketmesh_types::{Credits, PeerId, UnixTime};

    #[test]
    fn a_row_of_the_export_has_a_field_for_each_column() {
        let row = history::Row {
            record: 7,
            at: UnixTime(1_764_034_977_000),
            what: history::What::WrittenOff,
            peer: PeerId([1; 32]),
            amount: Credits(1_500_000_001),
            job: None,
            receipt: None,
            lane: None,
            tasks: None,
            fuel: None,
            bytes: None,
            price: None,
            per_gib: None,
            owes_us: Credits(0),
            owed_by_us: Credits(1),
        };
        let line = csv_line(&row);
        assert_eq!(line.split(',').count(), COLUMNS.split(',').count());
        assert!(line.starts_with("7,2025-11-25 01:42:57,written off,12D3KooW"), "{line}");
        assert!(line.ends_with(",1.500000001,-0.000000001"), "{line}");
    }

    #[test]
    fn a_balance_says_who_owes_whom_and_that_it_is_no_money() {
        let none = Credits(0);
        let account = |number, owes_us, owed_by_us| Account {
            peer: PeerId([number; 32]),
            owes_us: Credits(owes_us),
            owed_by_us: Credits(owed_by_us),
            done_for_us: none,
            done_by_us: none,
            settled: none,
            reserved_by_us: none,
            reserved_for_it: none,
        };
        let wallet = Accounts {
            peer: PeerId([9; 32]),
            accounts: vec![account(1, 5_000_000_000, 0), account(2, 0, 2_000_000_000)],
            owed_to_us: Credits(5_000_000_000),
            owed_by_us: Credits(2_000_000_000),
            stopped: Some("the disk is gone".into()),
            remarks: Vec::new(),
        };
        let text = balance_text(&wallet);
        for part in
            ["all together", "5.000", "-2.000", "+3.000", "not redeemable", "PAYMENTS ARE STOPPED: the disk is gone"]
        {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }
}

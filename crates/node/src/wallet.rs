//! What is owed, and what jobs cost, in the control API's words.

use crate::driver::Driver;
use pocketmesh_api::{Account, JobEvent, Spending, Wallet};
use pocketmesh_ledger::{Accounts, accounts::Standing};
use pocketmesh_protocol::jobs::active::Active;
use pocketmesh_types::{Credits, PeerId};

/// How things stand with everybody: the largest debts either way first.
pub fn wallet(driver: &Driver) -> Wallet {
    let accounts = driver.peer.settlement().accounts();
    let remarks = driver.till.remarks.iter().map(|remark| JobEvent { time: remark.time, text: remark.text.clone() });
    let rows = rows(accounts);
    Wallet {
        peer: accounts.me(),
        owed_to_us: sum(rows.iter().map(|row| row.owes_us)),
        owed_by_us: sum(rows.iter().map(|row| row.owed_by_us)),
        accounts: rows,
        stopped: driver.money_stopped(),
        remarks: remarks.collect(),
    }
}

/// The same from a journal alone, for a folder whose daemon is not running.
pub fn from_standings(me: PeerId, standings: &[(PeerId, Standing)]) -> Wallet {
    let mut rows: Vec<Account> = standings.iter().map(|(peer, standing)| row(peer, standing)).collect();
    sort(&mut rows);
    Wallet {
        peer: me,
        owed_to_us: sum(rows.iter().map(|row| row.owes_us)),
        owed_by_us: sum(rows.iter().map(|row| row.owed_by_us)),
        accounts: rows,
        stopped: None,
        remarks: Vec::new(),
    }
}

fn rows(accounts: &Accounts) -> Vec<Account> {
    let mut rows: Vec<Account> = accounts.books().peers().map(|peer| row(peer, &accounts.standing(peer))).collect();
    sort(&mut rows);
    rows
}

fn sort(rows: &mut [Account]) {
    rows.sort_by_key(|row| (std::cmp::Reverse(row.owes_us.max(row.owed_by_us)), row.peer));
}

fn row(peer: &PeerId, standing: &Standing) -> Account {
    Account {
        peer: *peer,
        owes_us: standing.owes_us,
        owed_by_us: standing.owed_by_us,
        done_for_us: standing.given,
        done_by_us: standing.received,
        settled: standing.settled,
        reserved_by_us: standing.reserved_by_us,
        reserved_for_it: standing.reserved_for_it,
    }
}

/// No sum over all accounts overflows: the books see to that.
fn sum(amounts: impl Iterator<Item = Credits>) -> Credits {
    amounts.fold(Credits::default(), |sum, amount| Credits(sum.0.saturating_add(amount.0)))
}

/// What a job costs its owner so far, and may come to.
pub fn spending(driver: &Driver, active: &Active) -> Spending {
    let per_result = per_result(driver, active);
    let expected = per_result.or_else(|| {
        let alike =
            driver.peer.jobs().iter().filter(|job| job.job.program == active.job.program && job.id != active.id);
        alike
            .filter_map(|job| Some((job.submitted_at, self::per_result(driver, job)?)))
            .max_by_key(|(at, _)| *at)
            .map(|(_, cost)| cost)
    });
    Spending {
        max_price: active.job.max_price,
        per_gib: active.job.per_gib,
        budget: active.job.budget,
        owed: owed(driver, active),
        paid: driver.till.paid_for(&active.id),
        levels: owed_for_levels(driver, active),
        per_result,
        expected: expected.map(|cost| Credits(cost.0.saturating_mul(u128::from(active.job.tasks)))),
    }
}

/// What was accepted, and, once they are paid, the fees.
fn owed(driver: &Driver, active: &Active) -> Credits {
    sum(active.workers().into_iter().map(|worker| worker.owed)).max(driver.till.paid_for(&active.id))
}

/// What a job and the levels of its reduction have left of its budget, in atto-credits.
pub fn left_of_budget(driver: &Driver, active: &Active) -> Option<Credits> {
    let spent = sum([owed(driver, active), owed_for_levels(driver, active)].into_iter());
    Some(active.job.budget?.checked_sub(spent).unwrap_or_default())
}

/// What the levels of a job's reduction have cost so far, in atto-credits.
fn owed_for_levels(driver: &Driver, active: &Active) -> Credits {
    let plan = driver.ledger.of(&active.id).and_then(|notes| notes.reduce.as_ref());
    let levels = plan.into_iter().flat_map(|plan| &plan.levels).filter_map(|level| driver.peer.jobs().get(level));
    sum(levels.map(|level| owed(driver, level)))
}

fn per_result(driver: &Driver, active: &Active) -> Option<Credits> {
    let finals = u128::from(active.progress().done);
    (finals > 0).then(|| Credits(owed(driver, active).0 / finals))
}

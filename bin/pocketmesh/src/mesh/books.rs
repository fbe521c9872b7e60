//! The books of all peers of a mesh side by side: who did what for whom, who owes whom; and what one is owed another owes.

use super::Mesh;
use crate::quantity::{nano, signed};
use crate::table::Table;
use pocketmesh_api::Wallet;
use pocketmesh_types::Credits;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the last payments may be on their way: the books of two peers agree once the payee has its voucher.
const AGREE_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);

/// What all peers that answer have in their books.
#[derive(Debug)]
pub struct Books {
    /// By the number of the peer.
    wallets: Vec<(usize, Wallet)>,
    /// How many did not answer.
    missing: usize,
}

impl Mesh {
    /// Looks into all books, once those of any two agree, or the time for that is up.
    pub async fn books(&self) -> Books {
        let until = Instant::now() + AGREE_WITHIN;
        loop {
            let books = self.look().await;
            if books.agree() || Instant::now() > until {
                return books;
            }
            sleep(POLL).await;
        }
    }

    async fn look(&self) -> Books {
        let answers = futures::future::join_all(self.peers().iter().map(|peer| peer.client.wallet())).await;
        let missing = answers.iter().filter(|answer| answer.is_err()).count();
        let wallets = answers.into_iter().enumerate().filter_map(|(index, answer)| Some((index, answer.ok()?)));
        Books { wallets: wallets.collect(), missing }
    }
}

impl Books {
    /// Whether, for any two peers, what the one is owed is what the other owes.
    pub fn agree(&self) -> bool {
        self.missing == 0
            && self.wallets.iter().all(|(_, one)| {
                one.accounts.iter().all(|account| {
                    let other = self.wallets.iter().find(|(_, wallet)| wallet.peer == account.peer);
                    let theirs = other.and_then(|(_, wallet)| wallet.accounts.iter().find(|row| row.peer == one.peer));
                    let none = Credits::default();
                    let theirs = theirs.map_or((none, none), |row| (row.owed_by_us, row.owes_us));
                    (account.owes_us, account.owed_by_us) == theirs
                })
            })
    }

    /// What all are owed, and what all owe: the same, if the books agree.
    fn totals(&self) -> (Credits, Credits) {
        let sum = |of: fn(&Wallet) -> Credits| {
            Credits(self.wallets.iter().fold(0, |sum: u128, (_, wallet)| sum.saturating_add(of(wallet).0)))
        };
        (sum(|wallet| wallet.owed_to_us), sum(|wallet| wallet.owed_by_us))
    }

    /// For scripts.
    pub fn json(&self) -> Value {
        let (owed, owing) = self.totals();
        let wallets: Vec<_> = self.wallets.iter().map(|(_, wallet)| wallet).collect();
        json!({ "wallets": wallets, "owed": owed, "owing": owing, "agree": self.agree() })
    }

    /// For people: a row for each peer, and the sum.
    pub fn text(&self) -> String {
        let mut table = Table::new(&["", ">did for others", ">had done", ">is owed", ">owes", ">sum", "who owes whom"]);
        for (index, wallet) in &self.wallets {
            let sum = |of: fn(&pocketmesh_api::Account) -> Credits| {
                nano(Credits(wallet.accounts.iter().fold(0, |sum: u128, account| sum.saturating_add(of(account).0))))
            };
            table.row([
                format!("peer-{index}"),
                sum(|account| account.done_by_us),
                sum(|account| account.done_for_us),
                nano(wallet.owed_to_us),
                nano(wallet.owed_by_us),
                signed(wallet.owed_to_us, wallet.owed_by_us),
                self.debts(wallet),
            ]);
        }
        let (owed, owing) = self.totals();
        let sum = if owed == owing { "0".into() } else { signed(owed, owing) };
        table.row(["all".into(), String::new(), String::new(), nano(owed), nano(owing), sum]);
        let verdict = match (self.missing, self.agree()) {
            (0, true) => "all books agree: the sum is zero",
            (0, false) => "the books do not agree yet: a payment is on its way",
            _ => "not all peers have shown their books",
        };
        format!("{table}{verdict}; nano-credits with peers, not redeemable")
    }

    /// Whom a peer owes, by number.
    fn debts(&self, wallet: &Wallet) -> String {
        let name = |account: &pocketmesh_api::Account| {
            let known = self.wallets.iter().find(|(_, other)| other.peer == account.peer);
            known.map_or_else(|| format!("…{}", account.peer.short()), |(index, _)| format!("peer-{index}"))
        };
        let owed = wallet.accounts.iter().filter(|account| account.owed_by_us > Credits::default());
        let debts: Vec<_> = owed.map(|account| format!("{} to {}", nano(account.owed_by_us), name(account))).collect();
        if debts.is_empty() { String::new() } else { format!("owes {}", debts.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pocketmesh_api::Account;
    use pocketmesh_types::PeerId;

    fn wallet(me: u8, with: u8, owes_us: u128, owed_by_us: u128) -> Wallet {
        let (none, nano) = (Credits::default(), |amount| Credits(amount * 1_000_000_000));
        let account = Account {
            peer: PeerId([with; 32]),
            owes_us: nano(owes_us),
            owed_by_us: nano(owed_by_us),
            done_for_us: nano(owed_by_us),
            done_by_us: nano(owes_us),
            settled: none,
            reserved_by_us: none,
            reserved_for_it: none,
        };
        Wallet {
            peer: PeerId([me; 32]),
            accounts: vec![account],
            owed_to_us: nano(owes_us),
            owed_by_us: nano(owed_by_us),
            stopped: None,
            remarks: Vec::new(),
        }
    }

    #[test]
    fn books_agree_if_what_one_is_owed_another_owes() {
        let mut books = Books { wallets: vec![(0, wallet(1, 2, 0, 7)), (1, wallet(2, 1, 7, 0))], missing: 0 };
        assert!(books.agree());
        let text = books.text();
        assert!(text.contains("owes 7.000 to peer-1") && text.contains("the sum is zero"), "{text}");
        books.wallets[1].1 = wallet(2, 1, 6, 0);
        assert!(!books.agree() && books.text().contains("-1.000"));
        books.wallets.pop();
        assert!(!books.agree(), "a book that is owed nothing by us, and of which nothing is known");
    }
}

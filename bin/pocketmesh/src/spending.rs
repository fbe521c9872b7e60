//! What a job costs its owner, for people. It is credit with peers: no money, and not redeemable.

use crate::quantity::nano;
use pocketmesh_api::{Promise, Spending};
use pocketmesh_types::Credits;

/// What may be expected before anybody works.
pub fn outlook(spending: &Spending, promise: &Promise) -> String {
    let bound = spending.budget.map(|budget| format!(", and no more than {} in all", nano(budget))).unwrap_or_default();
    let expected = spending.expected.map_or_else(
        || "what a result takes is known once there is one".into(),
        |all| {
            format!(
                "about {} nano-credits, if results cost as much as those of the last job with this program",
                nano(all)
            )
        },
    );
    format!(
        "expected: at most {} nano-credits per gigafuel and {} per GiB moved, for about {:.2} executions per result{bound}; {expected}",
        spending.max_price.0, spending.per_gib.0, promise.executions,
    )
}

/// What it has cost so far, or did cost.
pub fn line(spending: &Spending) -> String {
    let mut text = format!(
        "credit: {} nano-credits for what was accepted, {} of it paid",
        nano(spending.owed),
        nano(spending.paid)
    );
    if spending.levels > Credits::default() {
        text += &format!("; {} more for its reduction", nano(spending.levels));
    }
    if let Some(per_result) = spending.per_result {
        text += &format!("; {} per verified result", nano(per_result));
    }
    if let Some(expected) = spending.expected.filter(|expected| *expected > spending.owed) {
        text += &format!("; about {} expected in all", nano(expected));
    }
    if let Some(budget) = spending.budget {
        text += &format!("; at most {}", nano(budget));
    }
    text + "; with peers, not redeemable"
}

#[cfg(test)]
mod tests {
    use super::*;
    use pocketmesh_types::{PerGib, Price};

    #[test]
    fn what_is_final_costs_what_it_costs_and_the_rest_is_expected() {
        let nano = |amount: u128| Credits(amount * 1_000_000_000);
        let half = Spending {
            max_price: Price(9),
            per_gib: PerGib(5),
            budget: Some(nano(100)),
            owed: nano(20),
            paid: nano(15),
            levels: nano(0),
            per_result: Some(nano(2)),
            expected: Some(nano(40)),
        };
        let expected = "credit: 20.000 nano-credits for what was accepted, 15.000 of it paid; 2.000 per verified result; about 40.000 \
                        expected in all; at most 100.000; with peers, not redeemable";
        assert_eq!(line(&half), expected);
        let whole = Spending { expected: Some(nano(20)), budget: None, levels: nano(7), ..half };
        assert!(line(&whole).contains("; 7.000 more for its reduction; "));
        assert!(!line(&whole).contains("expected") && !line(&whole).contains("at most"));
    }
}

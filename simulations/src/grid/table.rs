//! The grid as a page: what was run, what it showed, every cell.

use super::{
    Size,
    row::{Found, Row},
};
use std::fmt::Write as _;

/// The page.
pub fn page(rows: &[Row], size: Size, seed: u64) -> String {
    let mut page = String::from("# Audits against saboteurs: the whole grid\n\n");
    let ran = rows.iter().filter_map(|row| row.found.as_ref());
    let windows: usize = ran.clone().map(|found| found.windows).sum();
    put(
        &mut page,
        &format!(
            "`cargo run --release -p pocketmesh-sim -- grid --seed {seed}`: at least {} windows a cell, {windows} in all. The state machine of audit \
         windows, tasks as ranges; no network. What the columns mean and what follows: specs/verification.md.",
            size.windows
        ),
    );
    put(
        &mut page,
        "\nBetween brackets: 95 %, a bootstrap over windows. *Formula*: the error at worst, whatever the saboteurs do. *Paid*: executions per \
                    accepted result, the audits of its window among them. *All*: with voided windows, their audits, and own decisions.\n",
    );
    put(&mut page, &verdict(rows));
    for (title, mechanism) in [("Audits as late seats", "late seats"), ("Audits at the requester", "own audits")] {
        put(&mut page, &format!("\n## {title}\n"));
        put(
            &mut page,
            "| n | target | attacker | f | k | windows, voided | wrong of accepted | error | formula | paid | all |",
        );
        put(&mut page, "|---|---|---|---|---|---|---|---|---|---|---|");
        rows.iter().filter(|row| row.mechanism == mechanism).for_each(|row| put(&mut page, &of_audits(row)));
    }
    put(
        &mut page,
        "\n## What others do\n\n| mechanism | attacker | f | wrong of accepted | error | executions per result |\n|---|---|---|---|---|---|",
    );
    rows.iter().filter(|row| row.target.is_none()).for_each(|row| put(&mut page, &of_others(row)));
    page
}

/// What the gate says.
pub fn verdict(rows: &[Row]) -> String {
    let broken: Vec<String> = rows.iter().flat_map(Row::broken).collect();
    let cells = rows.iter().filter(|row| row.target.is_some() && row.found.is_some()).count();
    let out_of_reach = rows.iter().filter(|row| row.target.is_some() && row.found.is_none()).count();
    let mut text = format!(
        "Gate (no interval of an error wholly above its target; no more paid than promised), over {cells} cells with audits \
         ({out_of_reach} more are out of reach of late seats): {} broken.",
        broken.len()
    );
    for (row, first) in rows.iter().filter_map(|row| Some((row, row.first.as_ref()?))) {
        let _ = write!(
            text,
            "\nRun again with ten times the windows: {}; the first run found {}.",
            row.title(),
            interval(first)
        );
    }
    broken.iter().for_each(|line| {
        let _ = write!(text, "\n- {line}");
    });
    text
}

fn of_audits(row: &Row) -> String {
    let target = row.target.unwrap_or_default();
    let head = format!("| {} | {target:e} | {} | {} |", row.n, row.attacker, share(row));
    let (Some(k), Some(found)) = (row.audits, &row.found) else {
        return format!("{head} not reachable: own audits | | | | | | |");
    };
    format!(
        "{head} {k} | {}, {} | {} of {} | {} | {:.2e} | {:.4} | {:.4} |",
        found.windows,
        found.voided,
        found.wrong,
        found.accepted,
        interval(found),
        row.formula.unwrap_or_default(),
        found.paid,
        found.all
    )
}

fn of_others(row: &Row) -> String {
    let Some(found) = &row.found else { return String::new() };
    let head = format!("| {} | {} | {} |", row.mechanism, row.attacker, share(row));
    format!("{head} {} of {} | {} | {:.3} |", found.wrong, found.accepted, interval(found), found.paid)
}

fn share(row: &Row) -> String {
    format!("{} %", f64::from(row.saboteurs_ppm) / 1e4)
}

fn interval(found: &Found) -> String {
    match found.wrong {
        0 => format!("0 [0, {:.1e}]", found.high),
        _ => format!("{:.2e} [{:.2e}, {:.2e}]", found.error, found.low, found.high),
    }
}

fn put(page: &mut String, line: &str) {
    page.push_str(line);
    page.push('\n');
}

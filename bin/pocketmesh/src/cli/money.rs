//! `wallet`, `receipts` and `ledger`: what is owed and what was paid.

use clap::Subcommand;
use std::path::PathBuf;

/// `wallet`
#[derive(Debug, Subcommand)]
pub enum Wallet {
    /// Show who owes whom, and who has done what for whom
    Balance,
    /// Show what was paid and received, oldest first
    History {
        /// Only the newest so many rows
        #[arg(long, value_name = "N", default_value_t = 50)]
        last: usize,
    },
    /// Print the whole history for a spreadsheet: as CSV, or as JSON with --json
    Export,
}

/// `receipts`
#[derive(Debug, Subcommand)]
pub enum Receipts {
    /// Show what was paid for each job
    List,
    /// Check a file of receipts, such as receipts.cbor in a result's folder: without a daemon or a data folder. Exit code 0 if all of
    /// it is good, 1 if it is not
    Verify {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Write what was paid for a job into a file
    Export {
        /// The job's id, in full
        job: pocketmesh_types::JobId,
        /// Where to
        #[arg(short, long, value_name = "FILE", default_value = "receipts.cbor")]
        output: PathBuf,
    },
    /// Replay a fraud proof here, without a daemon: exit code 0 if the claim is wrong, 1 if it is right and the accuser
    /// wrong, 3 if it cannot be told here, 2 if the file is no proof or was changed
    VerifyFraud {
        /// The proof
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Show the fraud proofs of the data folder
    ListFraud,
}

/// `ledger`
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Compute all balances anew from the journal, and check every hash and every signature in it; without a daemon, or beside one. Exit
    /// code 1 with the first bad record
    Audit {
        /// The data folder, if it is another than that of --data-dir
        #[arg(value_name = "DATA-DIR")]
        folder: Option<PathBuf>,
    },
    /// Show the journal's records, each as JSON on a line of its own; the daemon must not be running
    Show,
}

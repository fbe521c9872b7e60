//! Planted bugs: each breaks the wiring round the peers in one way, to show that some checker sees it.

use std::str::FromStr;

macro_rules! plants {
    ($($name:ident, $text:literal, found_by: $checker:literal, $about:literal;)*) => {
        /// A planted bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Plant {
            $(#[doc = $about] $name,)*
        }

        impl Plant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The checker that must find it.
            pub fn found_by(self) -> &'static str {
                match self { $(Self::$name => $checker,)* }
            }

            /// What it does.
            pub fn about(self) -> &'static str {
                match self { $(Self::$name => $about,)* }
            }
        }
    };
}

plants! {
    StoredEarly, "stored-early", found_by: "durable", "a record is told as stored before it is on disk";
    RecordLost, "record-lost", found_by: "finality", "the last record of a disk is lost at each restart";
    OldJournal, "old-journal", found_by: "finality", "a restarted peer reads the first half of its journal only";
    WritesOvertake, "writes-overtake", found_by: "finality", "the end of a job reaches the disk before its last results";
    NeverStored, "never-stored", found_by: "settles", "that the end of a job is stored is never told";
    BitRot, "bit-rot", found_by: "accepted", "one result in fifty is written to disk with another outcome";
    VerdictTwice, "verdict-twice", found_by: "payment", "verdicts are sent twice, the second with more owed";
    PriceSwapped, "price-swapped", found_by: "payment", "leases arrive with a higher price than the requester noted";
    BelievesLiars, "believes-liars", found_by: "blame", "the requester's own run is answered with what the first claim says";
    VoidAstray, "void-astray", found_by: "blame", "a void reaches another worker than the one that was refuted";
    RevealEarly, "reveal-early", found_by: "secrecy", "a worker is asked to reveal as soon as it has committed";
    OpenCommits, "open-commits", found_by: "copies", "copiers are told what honest workers committed to";
    AuditsForgotten, "audits-forgotten", found_by: "windows", "a restarted peer reads what was drawn without its audits";
    DrawRepeated, "draw-repeated", found_by: "windows", "a restarted peer does not read what was drawn";
    FreshName, "fresh-name", found_by: "blame", "a refuted worker appears under a fresh name at once, at no cost";
    PrefixHidden, "prefix-hidden", found_by: "seats", "public prefixes are not told";
    BidsDoubled, "bids-doubled", found_by: "auctions", "each bid arrives once more, under a name that nobody has";
    SameDice, "same-dice", found_by: "auctions", "every life of every peer draws the same numbers";
    ClockStands, "clock-stands", found_by: "settles", "the clock that peers are told stands still after a while";
    Overpays, "overpays", found_by: "books", "vouchers are sealed with twice what was to be promised";
    PaymentsLost, "payments-lost", found_by: "vouchers", "payments are told as kept and never reach the disk";
    PaymentsForgotten, "payments-forgotten", found_by: "paid-once", "a restarted peer does not read what it has paid, nor in which lane";
    ReceiptsLost, "receipts-lost", found_by: "exposure", "payments to us are told as kept and never reach the disk";
    CreditIgnored, "credit-ignored", found_by: "service", "peers are told to bear any debt of anybody";
    RunsPileUp, "runs-pile-up", found_by: "queues", "a cancelled execution is queued again and again";
}

impl FromStr for Plant {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|plant| plant.name() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|plant| plant.name()).collect();
            anyhow::anyhow!("there is no planted bug `{text}`; there are {}", names.join(", "))
        })
    }
}

//! Every bound in one table: the unit in the name, the reason beside it.

use core::time::Duration;

/// An offer as gossiped: it must stay cheap to forward to everybody.
pub const OFFER_BYTES_MAX: usize = 16 << 10;
/// A bid: a few numbers.
pub const BID_BYTES_MAX: usize = 4 << 10;
/// A direct message, framing included.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// What a sender aims at when it fills a message with many small things: well under the cap, large enough to amortise.
pub const MESSAGE_BYTES_TARGET: usize = 128 << 10;
/// Inputs and outputs up to this travel inside messages; larger ones as blobs.
pub const INLINE_BYTES_MAX: usize = 4 << 10;
/// A program: twice what the largest interpreters compiled to WASI need.
pub const PROGRAM_BYTES_MAX: u64 = 64 << 20;
/// One blob. Whole blobs are checked before they become visible, so this bounds a temporary file.
pub const BLOB_BYTES_MAX: u64 = 1 << 30;
/// Nesting of CBOR: our deepest message has 7 levels.
pub const CBOR_DEPTH_MAX: usize = 16;
/// Tasks of a job; they are held as ranges, not rows.
pub const TASKS_PER_JOB_MAX: u32 = 10_000_000;
/// Blobs that one job's inputs are cut from: they are named in one request, and their list is read as a whole.
pub const SOURCES_PER_JOB_MAX: usize = 20_000;
/// Tasks named in one message: keeps one message's work under a few milliseconds.
pub const TASKS_PER_MESSAGE_MAX: usize = 1024;
/// Name, arguments and environment of a job together: they travel in every lease.
pub const JOB_TEXT_BYTES_MAX: usize = 12 << 10;
/// Files of a tree, under `/in` or `/out`: some thousand frames or tables; more belong into an archive.
pub const TREE_FILES_MAX: usize = 4096;
/// A path in a tree: half of what Linux takes, so that there is room for the folder that it is put into.
pub const PATH_BYTES_MAX: usize = 2048;
/// One name in a path: what every file system takes.
pub const NAME_BYTES_MAX: usize = 255;
/// The list of a tree's files.
pub const TREE_BYTES_MAX: u64 = 1 << 20;
/// Replicas of a task: above 2 the requester's own run is cheaper (verification.md §3.6); 16 is generous.
pub const REPLICAS_MAX: u8 = 16;
/// The largest error that audits are made for, in parts per billion: beyond one in ten nothing needs to be checked.
pub const ERROR_PPB_MAX: u32 = 100_000_000;
/// The largest share of saboteurs that audits are made for, in parts per million: with half of the seats theirs, nothing holds.
pub const SABOTEURS_PPM_MAX: u32 = 490_000;
/// Results of one worker that share their fate: what may be lost with one wrong one, and what is kept until it is final.
pub const WINDOW_RESULTS_MAX: u32 = 10_000;
/// How deep an offer's topic may lie: at 2⁻¹⁶ of the mesh, some hundred peers hear it where 30 million are.
pub const OFFER_DEPTH_MAX: u8 = 16;
/// Addresses under which an offer says that its requester can be reached: IPv4 and IPv6, at home and outside.
pub const CONTACTS_MAX: usize = 4;
/// One of them: the longest that is dialled is `/ip6/…/tcp/…`, 21 bytes; the rest is for what comes.
pub const CONTACT_BYTES_MAX: usize = 64;
/// Offers held by a worker while it waits for its round.
pub const OFFERS_HELD_MAX: usize = 10_000;
/// Bids that one auction takes.
pub const BIDS_PER_OFFER_MAX: usize = 256;
/// Bids that an auction waits for, if there are so many peers and it has seats for two thirds of so many.
pub const BIDS_WANTED: usize = 64;
/// Bids that an auction of few seats waits for: enough that the draw is one.
pub const BIDS_WANTED_MIN: usize = 16;
/// Leases that a worker holds at once.
pub const LEASES_PER_WORKER_MAX: usize = 64;
/// Leases that a job has at once: each is a connection and a window of results. Guess.
pub const LEASES_PER_JOB_MAX: usize = 512;
/// Connections in all, those still being set up, and those of one public /24.
pub const CONNECTIONS_MAX: u32 = 256;
/// Connections being set up.
pub const CONNECTIONS_PENDING_MAX: u32 = 32;
/// Messages waiting for one peer's stream; when full, the peer is too slow and is disconnected.
pub const SEND_QUEUE_MESSAGES_MAX: usize = 4096;

/// Results at the end of a window whose price is held back until the window is final: with L = 20 prices to lose, checking one
/// result in twenty makes a cheat a losing game (g ÷ (g + L) ≈ 5 %).
pub const HOLD_BACK_TASKS: u32 = 20;
/// Tasks of one slice, and so of one receipt: what a worker has at stake beside the hold-back. However they are scattered, their
/// ranges take 2.8 KiB at most.
pub const SLICE_TASKS_MAX: u32 = 256;
/// Tasks of a slice unless a lease says otherwise. A client pays half of it at a time, so that a worker of short tasks need not wait for a
/// round trip; where tasks are long, time makes them due (specs/settlement.md §4). Guess.
pub const SLICE_TASKS_DEFAULT: u32 = 256;
/// A slice of short tasks has more of them: as many as burn this together, a second of one core. So a worker waits for a payment's way
/// only where there is something to lose.
pub const SLICE_FUEL: u64 = 1_000_000_000;
/// Tasks of a slice, however short they are. Guess.
pub const SLICE_SHORT_TASKS_MAX: u32 = 4_096;
/// What fetching and compiling a byte of a program counts as, in fuel: a second of one core for a MiB. Guess.
pub const PROGRAM_FUEL_PER_BYTE: u64 = 1_000;
/// What one counterparty may ever be promised, or promise, in atto-credits: 10¹² credits. With at most so many counterparties and four
/// accounts with each, no sum over all of them overflows, so nobody can stop our books by promising the moon.
pub const BALANCE_MAX: u128 = 1 << 100;
/// What is paid for a GiB, in nano-credits: a million credits. With it the dearest receipt that can be, 256 tasks that move two GiB each, comes
/// to less than 2⁹⁰ atto-credits.
pub const PER_GIB_MAX: u64 = 1_000_000_000_000_000;
/// A receipt, voucher or quittance with its signature.
pub const STATEMENT_BYTES_MAX: usize = 4 << 10;
/// Receipts that one voucher pays at once; a message carries them and the voucher.
pub const RECEIPTS_PER_VOUCHER_MAX: usize = 64;
/// Peers with whom there is an account: 64 Ki of them take some 60 MiB at worst. Beyond it, strangers are not served on credit.
pub const COUNTERPARTIES_MAX: usize = 1 << 16;
/// Reservations open with one peer: one for each lease either way, and room for the next ones.
pub const RESERVATIONS_PER_PEER_MAX: usize = 4 * LEASES_PER_WORKER_MAX;
/// Lanes of vouchers with one peer, each way: one in use, and the ones that a lost journal leaves behind.
pub const LANES_PER_PEER_MAX: usize = 4;
/// Jobs of one peer, or of ours with one peer, whose paid seats are remembered at once.
pub const JOBS_PER_PEER_MAX: usize = 4 * LEASES_PER_WORKER_MAX;
/// Public prefixes whose allowance is counted at once; a full bucket is forgotten first. Beyond it there is no allowance.
pub const ALLOWANCE_BUCKETS_MAX: usize = 1 << 14;

/// How far another's wall clock may be from ours before its statements are stale.
pub const CLOCK_SKEW: Duration = Duration::from_secs(120);
/// The longest life of an offer.
pub const OFFER_LIFE_MAX: Duration = Duration::from_secs(600);

/// One WebAssembly page.
pub const WASM_PAGE_BYTES: u64 = 64 << 10;
/// About five minutes of one desktop core.
pub const DEFAULT_TASK_FUEL: u64 = 1_000_000_000_000;
/// Fits beside others on a phone.
pub const DEFAULT_TASK_MEMORY_BYTES: u64 = 256 << 20;
/// Default output of a task.
pub const DEFAULT_TASK_OUTPUT_BYTES: u64 = 16 << 20;
/// Ten minutes.
pub const DEFAULT_TASK_WALL_MS: u64 = 600_000;
/// A day or so of one core.
pub const TASK_FUEL_MAX: u64 = 1 << 50;
/// All that 32-bit WebAssembly can address.
pub const TASK_MEMORY_BYTES_MAX: u64 = 4 << 30;
/// Output of a task.
pub const TASK_OUTPUT_BYTES_MAX: u64 = 1 << 30;
/// What one task moves, as far as it is paid for: an input, which is a blob; its streams and files; their list.
pub const TASK_BYTES_MAX: u64 = BLOB_BYTES_MAX + TASK_OUTPUT_BYTES_MAX + TREE_BYTES_MAX;
/// A day.
pub const TASK_WALL_MS_MAX: u64 = 86_400_000;

//! specs/ledger.md as claims: nothing is created, nothing lost, nothing paid twice, whatever comes in whatever order.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use pocketmesh_ledger::{
    Accounts, Entry,
    accounts::{Applied, Wrong},
    books::{Account, Book, Books, Posted, Refused, ReservationId, Series, Transfer, TransferId},
    lanes::Broken,
    record::{Debtor, Opened},
    seats::Taken,
};
use pocketmesh_types::{
    Credits, Fuel, Hash, Instant, JobId, Lane, LeaseId, PeerId, PerGib, Price, Quittance, Receipt, ReceiptId, Voucher,
    VoucherId, limits,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn peer(number: u8) -> PeerId {
    PeerId([number; 32])
}

fn with(number: u8, book: Book) -> Account {
    Account::With(peer(number), book)
}

fn transfer(books: &Books, amount: u128) -> Transfer {
    let id = books.next_id(peer(1), Series::Received);
    Transfer { id, debit: with(1, Book::Receivable), credit: Account::Revenue, amount: Credits(amount) }
}

#[test]
fn a_transfer_posts_once_and_its_id_means_one_thing() {
    let mut books = Books::default();
    let first = transfer(&books, 5);
    assert_eq!(books.post(first), Ok(Posted::Now));
    assert_eq!(books.post(first), Ok(Posted::Before));
    assert_eq!(books.post(Transfer { amount: Credits(6), ..first }), Err(Refused::Conflict(0)));
    let ahead = Transfer { id: TransferId { number: 3, ..first.id }, ..first };
    assert_eq!(books.post(ahead), Err(Refused::Gap { expected: 1, found: 3 }));
    for _ in 0..100 {
        books.post(transfer(&books, 1)).unwrap();
    }
    assert_eq!(books.post(first), Ok(Posted::Before), "long forgotten, and still not posted again");
    assert_eq!(books.balance(Account::Revenue).credits, Credits(105));
}

#[test]
fn a_reservation_counts_at_once_and_ends_by_post_void_or_time() {
    let mut books = Books::default();
    let (debit, credit) = (with(1, Book::Receivable), Account::Revenue);
    let reserve =
        |books: &mut Books, amount, at| books.reserve(peer(1), debit, credit, Credits(amount), Instant(at)).unwrap();
    let [posted, voided, late] = [(10, 50), (20, 40), (30, 30)].map(|(amount, at)| reserve(&mut books, amount, at));
    assert_eq!(books.balance(debit).debits_reserved, Credits(60));
    let above = transfer(&books, 11);
    assert_eq!(books.post_reserved(posted, above), Err(Refused::AboveReservation(Credits(10))));
    let part = transfer(&books, 7);
    assert_eq!(books.post_reserved(posted, part), Ok(Posted::Now));
    assert_eq!(books.post_reserved(posted, part), Ok(Posted::Before));
    assert_eq!(books.post_reserved(posted, transfer(&books, 1)), Err(Refused::Over));
    assert!(books.void(voided) && !books.void(voided));
    assert_eq!(books.next_expiry(), Some(Instant(30)));
    assert_eq!(books.expire(Instant(29)), []);
    assert_eq!(books.expire(Instant(30)), [late]);
    let balance = books.balance(debit);
    assert_eq!((balance.debits, balance.debits_reserved), (Credits(7), Credits(0)));
    assert!(books.are_balanced());
}

#[test]
fn what_is_under_way_is_said_anew_each_time_and_leaves_nothing_behind() {
    let mut accounts = Accounts::new(peer(1));
    for (ours, theirs) in [(5, 0), (7, 3), (2, 9), (0, 1)] {
        accounts.set_under_way(peer(2), Debtor::Us, Credits(ours));
        accounts.set_under_way(peer(2), Debtor::Them, Credits(theirs));
        let standing = accounts.standing(&peer(2));
        assert_eq!((standing.reserved_for_it, standing.reserved_by_us), (Credits(ours), Credits(theirs)));
        assert_eq!(standing.debt(), Credits(theirs), "what will be owed counts as owed");
        assert!(accounts.books().are_balanced());
    }
    accounts.set_under_way(peer(2), Debtor::Them, Credits(u128::MAX));
    assert_eq!(accounts.standing(&peer(2)).reserved_by_us, Credits(1), "more than can be counted changes nothing");
    accounts.set_under_way(peer(2), Debtor::Them, Credits(0));
    assert_eq!(accounts.books().peers().count(), 0);
}

#[test]
fn a_peer_with_whom_nothing_came_about_leaves_nothing_behind() {
    let mut books = Books::default();
    let id = books.reserve(peer(1), with(1, Book::Receivable), Account::Revenue, Credits(1), Instant(9)).unwrap();
    assert_eq!(books.peers().count(), 1);
    books.void(id);
    assert_eq!(books.peers().count(), 0);
}

#[test]
fn reservations_with_one_peer_are_bounded() {
    let mut books = Books::default();
    let mut reserve =
        |number| books.reserve(peer(number), with(number, Book::Receivable), Account::Revenue, Credits(1), Instant(9));
    for _ in 0..limits::RESERVATIONS_PER_PEER_MAX {
        reserve(1).unwrap();
    }
    assert_eq!(reserve(1), Err(Refused::TooManyReservations));
    assert!(reserve(2).is_ok());
}

#[test]
fn too_much_is_an_error_and_changes_nothing() {
    let mut books = Books::default();
    books.post(transfer(&books, limits::BALANCE_MAX)).unwrap();
    let before = books.clone();
    for amount in [1, u128::MAX] {
        assert_eq!(books.post(transfer(&books, amount)), Err(Refused::Overflow));
        assert_eq!(books, before);
    }
    let other = Transfer {
        id: books.next_id(peer(2), Series::Received),
        debit: with(2, Book::Receivable),
        credit: Account::Revenue,
        amount: Credits(1),
    };
    assert_eq!(books.post(other), Ok(Posted::Now), "nobody else is stopped by it");
}

#[test]
fn nobody_owes_less_than_nothing_and_accounts_of_two_peers_do_not_mix() {
    let mut books = Books::default();
    books.post(transfer(&books, 5)).unwrap();
    let id = books.next_id(peer(1), Series::Closing);
    let off = Transfer { id, debit: with(1, Book::WrittenOff), credit: with(1, Book::Receivable), amount: Credits(6) };
    assert_eq!(books.post(off), Err(Refused::Short { held: Credits(5), asked: Credits(6) }));
    let mixed = Transfer { credit: with(2, Book::Receivable), ..off };
    assert_eq!(books.post(mixed), Err(Refused::Accounts));
    assert_eq!(books.post(Transfer { credit: off.debit, ..off }), Err(Refused::Accounts));
}

#[derive(Debug, Clone)]
enum Step {
    Post { peer: u8, kind: u8, amount: u128, again: bool },
    Reserve { peer: u8, kind: u8, amount: u128, expires: u64 },
    PostReserved { which: usize, amount: u128 },
    Amend { which: usize, amount: u128 },
    Void { which: usize },
    Expire { now: u64 },
}

fn amounts() -> impl Strategy<Value = u128> {
    let max = limits::BALANCE_MAX;
    prop_oneof![6 => 0..1_000_u128, 2 => (max - 50)..=(max + 50), 1 => Just(max / 2), 1 => (u128::MAX - 50)..=u128::MAX]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u8, 0..6_u8, amounts(), any::<bool>()).prop_map(|(peer, kind, amount, again)| Step::Post { peer, kind, amount, again }),
        3 => (0..3_u8, 0..6_u8, amounts(), 0..100_u64).prop_map(|(peer, kind, amount, expires)| Step::Reserve { peer, kind, amount, expires }),
        3 => (0..40_usize, amounts()).prop_map(|(which, amount)| Step::PostReserved { which, amount }),
        2 => (0..40_usize, amounts()).prop_map(|(which, amount)| Step::Amend { which, amount }),
        1 => (0..40_usize).prop_map(|which| Step::Void { which }),
        1 => (0..100_u64).prop_map(|now| Step::Expire { now }),
    ]
}

/// The ways between accounts that there are.
fn way(number: u8, kind: u8) -> (Series, Account, Account) {
    match kind {
        0 => (Series::Received, with(number, Book::Receivable), Account::Revenue),
        1 => (Series::Given, Account::Expense, with(number, Book::Payable)),
        2 => (Series::Netting, with(number, Book::Payable), with(number, Book::Receivable)),
        3 => (Series::Closing, with(number, Book::WrittenOff), with(number, Book::Receivable)),
        4 => (Series::Closing, with(number, Book::Settled), with(number, Book::Receivable)),
        _ => (Series::Closing, with(number, Book::Payable), with(number, Book::Settled)),
    }
}

fn sums(books: &Books) -> [u128; 4] {
    let every = [Book::Receivable, Book::Payable, Book::WrittenOff, Book::Settled];
    let accounts = (0..3).flat_map(|number| every.map(|book| with(number, book)));
    let all = accounts.chain([Account::Revenue, Account::Expense]).map(|account| books.balance(account));
    all.fold([0; 4], |[a, b, c, d], balance| {
        [a + balance.debits.0, b + balance.credits.0, c + balance.debits_reserved.0, d + balance.credits_reserved.0]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Debits equal credits after every step, taken or refused; what is refused changes nothing; no debt is negative.
    #[test]
    fn nothing_is_created_or_lost(steps in prop::collection::vec(steps(), 1..60)) {
        let mut books = Books::default();
        let mut reserved: Vec<(ReservationId, u8, u8)> = Vec::new();
        for step in steps {
            let before = books.clone();
            let refused = match step {
                Step::Post { peer: number, kind, amount, again } => {
                    let (series, debit, credit) = way(number, kind);
                    let transfer = Transfer { id: books.next_id(peer(number), series), debit, credit, amount: Credits(amount) };
                    let posted = books.post(transfer);
                    if again && posted.is_ok() {
                        let after = books.clone();
                        prop_assert_eq!(books.post(transfer), Ok(Posted::Before));
                        prop_assert_eq!(&books, &after);
                    }
                    posted.is_err()
                }
                Step::Reserve { peer: number, kind, amount, expires } => {
                    let (_, debit, credit) = way(number, kind);
                    let id = books.reserve(peer(number), debit, credit, Credits(amount), Instant(expires));
                    reserved.extend(id.map(|id| (id, number, kind)));
                    id.is_err()
                }
                Step::PostReserved { which, amount } => {
                    let Some(&(id, number, kind)) = reserved.get(which) else { continue };
                    let (series, debit, credit) = way(number, kind);
                    let transfer = Transfer { id: books.next_id(peer(number), series), debit, credit, amount: Credits(amount) };
                    books.post_reserved(id, transfer).is_err()
                }
                Step::Amend { which, amount } => {
                    reserved.get(which).is_some_and(|(id, ..)| books.amend(*id, Credits(amount)).is_err())
                }
                Step::Void { which } => reserved.get(which).is_some_and(|(id, ..)| !books.void(*id)),
                Step::Expire { now } => books.expire(Instant(now)).is_empty(),
            };
            if refused {
                prop_assert_eq!(&books, &before);
            }
            let [debits, credits, debits_reserved, credits_reserved] = sums(&books);
            prop_assert_eq!((debits, debits_reserved), (credits, credits_reserved));
            prop_assert!(books.are_balanced());
            for number in 0..3 {
                let (owed, due) = (books.balance(with(number, Book::Receivable)), books.balance(with(number, Book::Payable)));
                prop_assert!(owed.credits <= owed.debits && due.debits <= due.credits);
            }
        }
    }
}

fn job(number: u8) -> JobId {
    JobId(Hash::of(&[number]))
}

fn receipt(client: u8, payee: u8, of: u8, tasks: Vec<(u32, u32)>, fuel: u64) -> Receipt {
    let lease = LeaseId(Hash::of(&[client, payee]));
    let (client, payee) = (peer(client), peer(payee));
    Receipt {
        job: job(of),
        lease,
        client,
        payee,
        lane: Lane(0),
        tasks,
        fuel: Fuel(fuel),
        bytes: 0,
        price: Price(3),
        per_gib: PerGib(0),
        fee: Credits(0),
        results: Hash::of(b"results"),
    }
}

fn id_of(receipt: &Receipt) -> ReceiptId {
    ReceiptId(Hash::of(format!("{receipt:?}").as_bytes()))
}

/// What `payer` says next, if it pays these receipts.
fn payment(payer: &Accounts, receipts: Vec<Receipt>) -> Opened {
    let (client, payee) = (payer.me(), receipts[0].payee);
    let receipts: Vec<_> = receipts.into_iter().map(|receipt| (id_of(&receipt), receipt)).collect();
    let totals = receipts.iter().map(|(id, receipt)| (*id, receipt.total().unwrap()));
    let next = payer.given(&payee, Lane(0)).0.with(totals).unwrap();
    let voucher = Voucher { client, payee, lane: Lane(0), cumulative: next.cumulative(), receipts_root: next.root() };
    Opened { receipts, voucher }
}

#[test]
fn mutual_work_sets_itself_off_on_both_sides_alike() {
    let (mut a, mut b) = (Accounts::new(peer(1)), Accounts::new(peer(2)));
    let by_a = payment(&a, vec![receipt(1, 2, 0, vec![(0, 5)], 100)]);
    a.apply(&Entry::Paid(by_a.clone())).unwrap();
    b.apply(&Entry::Received(by_a)).unwrap();
    assert_eq!((a.standing(&peer(2)).owed_by_us, b.standing(&peer(1)).owes_us), (Credits(300), Credits(300)));
    let by_b = payment(&b, vec![receipt(2, 1, 1, vec![(0, 1)], 120)]);
    b.apply(&Entry::Paid(by_b.clone())).unwrap();
    a.apply(&Entry::Received(by_b)).unwrap();
    let (of_b, of_a) = (a.standing(&peer(2)), b.standing(&peer(1)));
    assert_eq!((of_b.owes_us, of_b.owed_by_us), (Credits(60), Credits(0)));
    assert_eq!((of_a.owes_us, of_a.owed_by_us), (Credits(0), Credits(60)));
    assert_eq!(a.apply(&Entry::WrittenOff(peer(2), Credits(20))), Ok(Applied::Now));
    assert_eq!(a.apply(&Entry::Settled(peer(2), Debtor::Them, Credits(40))), Ok(Applied::Now));
    assert_eq!(a.standing(&peer(2)).owes_us, Credits(0));
    assert!(matches!(a.apply(&Entry::WrittenOff(peer(2), Credits(1))), Err(Wrong::Books(Refused::Short { .. }))));
    assert_eq!(b.apply(&Entry::Settled(peer(1), Debtor::Us, Credits(60))), Ok(Applied::Now));
    assert!(a.books().are_balanced() && b.books().are_balanced());
}

fn refusal(change: impl FnOnce(&mut Opened)) -> Wrong {
    let mut payer = Accounts::new(peer(1));
    let first = payment(&payer, vec![receipt(1, 2, 0, vec![(0, 5)], 100)]);
    payer.apply(&Entry::Paid(first)).unwrap();
    let mut second = payment(&payer, vec![receipt(1, 2, 0, vec![(5, 9)], 100)]);
    change(&mut second);
    let before = format!("{payer:?}");
    let wrong = payer.apply(&Entry::Paid(second)).unwrap_err();
    assert_eq!(format!("{payer:?}"), before, "refused, and changed something");
    wrong
}

#[test]
fn what_does_not_follow_is_refused_with_its_reason() {
    let before = Credits(300);
    let found = Credits(299);
    assert_eq!(refusal(|payment| payment.voucher.cumulative = found), Broken::NotMonotone { before, found }.into());
    let (expected, found) = (Credits(600), Credits(601));
    assert_eq!(refusal(|payment| payment.voucher.cumulative = found), Broken::Sum { expected, found }.into());
    assert_eq!(refusal(|payment| payment.voucher.receipts_root = Hash::default()), Broken::Root.into());
    assert_eq!(refusal(|payment| payment.receipts.clear()), Broken::NoReceipts.into());
    assert_eq!(refusal(|payment| payment.voucher.payee = peer(1)), Wrong::Parties);
    assert_eq!(refusal(|payment| payment.receipts[0].1.payee = peer(3)), Wrong::OtherLane(0));
    assert_eq!(refusal(|payment| payment.receipts[0].1.lane = Lane(1)), Wrong::OtherLane(0));
    let seat = |start, end| Wrong::Seat { at: 0, source: Taken::Before { job: job(0), start, end } };
    assert_eq!(refusal(|payment| payment.receipts[0].1.tasks = vec![(4, 9)]), seat(4, 9));
}

#[test]
fn two_receipts_of_one_voucher_may_not_share_a_seat() {
    let mut payer = Accounts::new(peer(1));
    let shared = payment(&payer, vec![receipt(1, 2, 0, vec![(0, 5)], 100), receipt(1, 2, 0, vec![(4, 6)], 100)]);
    let source = Taken::Before { job: job(0), start: 4, end: 6 };
    assert_eq!(payer.apply(&Entry::Paid(shared)), Err(Wrong::Seat { at: 1, source }));
    let other_job = payment(&payer, vec![receipt(1, 2, 0, vec![(0, 5)], 100), receipt(1, 2, 1, vec![(4, 6)], 100)]);
    assert_eq!(payer.apply(&Entry::Paid(other_job)), Ok(Applied::Now));
}

#[test]
fn forfeited_seats_and_those_of_a_job_that_is_over_are_never_paid() {
    let mut payer = Accounts::new(peer(1));
    let forfeited =
        |tasks: &[(u32, u32)]| Entry::Forfeited { job: job(0), client: peer(1), payee: peer(2), tasks: tasks.to_vec() };
    payer.apply(&forfeited(&[(3, 6), (8, 9)])).unwrap();
    assert_eq!(payer.apply(&forfeited(&[(8, 9)])), Err(Wrong::Forfeit));
    let late = payment(&payer, vec![receipt(1, 2, 0, vec![(0, 4)], 100)]);
    assert!(matches!(payer.apply(&Entry::Paid(late)), Err(Wrong::Seat { source: Taken::Before { .. }, .. })));
    let good = payment(&payer, vec![receipt(1, 2, 0, vec![(0, 3)], 100)]);
    payer.apply(&Entry::Paid(good)).unwrap();
    assert_eq!(payer.apply(&forfeited(&[(2, 3)])), Err(Wrong::Forfeit), "what was paid is not clawed back");
    payer.apply(&Entry::Closed(job(0))).unwrap();
    let after = payment(&payer, vec![receipt(1, 2, 0, vec![(20, 21)], 100)]);
    assert_eq!(payer.apply(&Entry::Paid(after)), Err(Wrong::Seat { at: 0, source: Taken::Over(job(0)) }));
}

#[test]
fn a_quittance_for_more_than_was_given_is_refused() {
    let mut payer = Accounts::new(peer(1));
    let given = payment(&payer, vec![receipt(1, 2, 0, vec![(0, 5)], 100)]);
    payer.apply(&Entry::Paid(given)).unwrap();
    let quittance = |sum| {
        let (voucher, client, payee) = (VoucherId(Hash::of(b"voucher")), peer(1), peer(2));
        Entry::Acknowledged(Quittance { voucher, client, payee, lane: Lane(0), cumulative: Credits(sum) })
    };
    assert_eq!(payer.apply(&quittance(301)), Err(Wrong::Quittance { given: Credits(300), found: Credits(301) }));
    assert_eq!(payer.apply(&quittance(300)), Ok(Applied::Now));
    assert_eq!(payer.apply(&quittance(200)), Ok(Applied::Before), "an old one takes nothing back");
    assert_eq!(payer.given(&peer(2), Lane(0)).1, Credits(300));
}

#[test]
fn a_failed_journal_stops_all_that_moves_money_and_nothing_else() {
    let mut accounts = Accounts::new(peer(1));
    let given = payment(&accounts, vec![receipt(1, 2, 0, vec![(0, 5)], 100)]);
    accounts.apply(&Entry::Paid(given.clone())).unwrap();
    accounts.halt("journal record 7 at byte 900 is damaged".into());
    let halted =
        |result: Result<(), Wrong>| assert!(result.unwrap_err().to_string().contains("journal record 7 at byte 900"));
    halted(accounts.apply(&Entry::Paid(given)).map(drop));
    halted(accounts.apply(&Entry::WrittenOff(peer(2), Credits(1))).map(drop));
    assert_eq!(accounts.standing(&peer(2)).owed_by_us, Credits(300), "what was there can be read");
}

#[test]
fn a_client_of_many_jobs_is_never_turned_away_and_its_payer_closes_them() {
    let (mut payer, mut payee) = (Accounts::new(peer(1)), Accounts::new(peer(2)));
    let of = |number: usize| JobId(Hash::of(&number.to_le_bytes()));
    for number in 0..3 * limits::JOBS_PER_PEER_MAX {
        let paid = payment(&payer, vec![Receipt { job: of(number), ..receipt(1, 2, 0, vec![(0, 1)], 1) }]);
        assert_eq!(payer.apply(&Entry::Paid(paid.clone())), Ok(Applied::Now), "job {number}");
        assert!(payer.is_seat_taken(&peer(2), of(number), 0) && !payer.is_seat_taken(&peer(2), of(number), 1));
        assert_eq!(payee.apply(&Entry::Received(paid)), Ok(Applied::Now), "job {number}");
        payer.apply(&Entry::Closed(of(number))).unwrap();
        assert!(payer.is_seat_taken(&peer(2), of(number), 1), "nothing of it is paid any more");
    }
    let open = |number| Receipt { job: of(number), ..receipt(1, 2, 0, vec![(0, 1)], 1) };
    let last = (9_000..10_000).find(|&number| {
        let paid = payment(&payer, vec![open(number)]);
        payer.apply(&Entry::Paid(paid)) == Err(Wrong::Seat { at: 0, source: Taken::TooManyJobs })
    });
    assert_eq!(last, Some(9_000 + limits::JOBS_PER_PEER_MAX));
}

/// A mesh of three that pay each other over a network that loses nothing for ever, and keeps no order.
#[derive(Debug, Clone)]
enum Move {
    /// Pays a few ranges of a job, perhaps ones that were paid before.
    Pay {
        from: u8,
        to: u8,
        job: u8,
        start: u32,
        len: u32,
        fuel: u64,
    },
    /// A payment on its way arrives, and stays on its way.
    Arrive {
        which: usize,
    },
    Forfeit {
        from: u8,
        to: u8,
        job: u8,
        start: u32,
    },
    Close {
        who: u8,
        job: u8,
    },
}

fn moves() -> impl Strategy<Value = Move> {
    let pair = (0..3_u8, 1..3_u8).prop_map(|(from, by)| (from, (from + by) % 3));
    prop_oneof![
        6 => (pair.clone(), 0..3_u8, 0..40_u32, 1..12_u32, 0..1_000_u64).prop_map(|((from, to), job, start, len, fuel)| Move::Pay { from, to, job, start, len, fuel }),
        8 => (0..80_usize).prop_map(|which| Move::Arrive { which }),
        1 => (pair, 0..3_u8, 0..40_u32).prop_map(|((from, to), job, start)| Move::Forfeit { from, to, job, start }),
        1 => (0..3_u8, 0..3_u8).prop_map(|(who, job)| Move::Close { who, job }),
    ]
}

#[derive(Default)]
struct Watch {
    /// (payer, job, payee, task) that were paid.
    seats: BTreeSet<(u8, u8, u8, u32)>,
    newest: BTreeMap<(bool, PeerId, PeerId), Credits>,
}

impl Watch {
    fn promised(&mut self, given: bool, voucher: &Voucher) {
        let newest = self.newest.entry((given, voucher.client, voucher.payee)).or_default();
        assert!(voucher.cumulative >= *newest, "a voucher fell from {newest} to {}", voucher.cumulative);
        *newest = voucher.cumulative;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn whatever_the_order_seats_are_paid_once_and_vouchers_only_rise(moves in prop::collection::vec(moves(), 1..80)) {
        let mut mesh: Vec<Accounts> = (0..3).map(|number| Accounts::new(peer(number))).collect();
        let (mut under_way, mut watch): (Vec<(u8, Opened)>, _) = (Vec::new(), Watch::default());
        for step in moves {
            match step {
                Move::Pay { from, to, job, start, len, fuel } => {
                    let said = payment(&mesh[from as usize], vec![receipt(from, to, job, vec![(start, start + len)], fuel)]);
                    let paid = mesh[from as usize].apply(&Entry::Paid(said.clone()));
                    let is_new = (start..start + len).all(|task| !watch.seats.contains(&(from, job, to, task)));
                    if paid == Ok(Applied::Now) {
                        prop_assert!(is_new, "a seat was paid twice");
                        watch.seats.extend((start..start + len).map(|task| (from, job, to, task)));
                        watch.promised(true, &said.voucher);
                        under_way.push((to, said));
                    }
                }
                Move::Arrive { which } => {
                    let Some((to, said)) = under_way.get(which) else { continue };
                    if mesh[*to as usize].apply(&Entry::Received(said.clone())) == Ok(Applied::Now) {
                        watch.promised(false, &said.voucher);
                    }
                }
                Move::Forfeit { from, to, job: of, start } => {
                    let entry = Entry::Forfeited { job: job(of), client: peer(from), payee: peer(to), tasks: vec![(start, start + 2)] };
                    if mesh[from as usize].apply(&entry).is_ok() {
                        watch.seats.extend([start, start + 1].map(|task| (from, of, to, task)));
                    }
                }
                Move::Close { who, job: of } => {
                    mesh[who as usize].apply(&Entry::Closed(job(of))).unwrap();
                    let others = (0..3).filter(|&other| other != who);
                    watch.seats.extend(others.flat_map(|other| (0..60).map(move |task| (who, of, other, task))));
                }
            }
            for accounts in &mesh {
                prop_assert!(accounts.books().are_balanced());
            }
        }
        for (from, to) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
            let given = mesh[from].standing(&peer(to as u8)).given;
            let received = mesh[to].standing(&peer(from as u8)).received;
            prop_assert!(received <= given, "{received} received of {given} given");
        }
    }
}

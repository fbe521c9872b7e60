//! What may cross the wire, and what may not. specs/wire.md.

use pocketmesh_types::{
    Arch, BlobId, Bytes, ClaimId, Credits, Exit, Fuel, Hash, Job, JobId, LeaseId, OfferId, Outcome, Output, PeerId,
    PerGib, Policy, Price, ProfileId, TaskInput, UnixTime, job::TaskLimits, limits,
};
use pocketmesh_wire::{
    Envelope, Key, Kind, Message, OpenError, Payment, Signer, Strict, cbor, envelope,
    message::{
        Assign, Assigned, Bid, BidEntry, Claim, ClaimAck, Claimed, Closing, Commit, Committed, Decline, DeclineReason,
        EndReason, Ext, HandBack, HandBackReason, Heartbeat, Lease, LeaseEnd, Offer, OfferClosed, Reveal, Standing,
        Verdicts, Void, verdict::commitment,
    },
};
use proptest::prelude::*;

fn hash(text: &str) -> Hash {
    Hash::of(text.as_bytes())
}

fn outcome() -> Outcome {
    Outcome {
        exit: Exit::Code(0),
        fuel: Fuel(1_000_000),
        stdout: Output::of(b"42\n"),
        stderr: Output::of(b""),
        files: Output::of(b""),
        files_bytes: 0,
    }
}

fn job() -> Job {
    Job {
        program: BlobId::of(b"program"),
        program_len: 7,
        name: "count".into(),
        args: vec!["{index}".into()],
        env: vec![("LANG".into(), "C".into())],
        files: Output::of(b""),
        inputs: Output::default(),
        input_name: String::new(),
        tasks: 300,
        first_index: 0,
        limits: TaskLimits::default(),
        policy: Policy::Replicas(2),
        max_price: Price(1_000),
        per_gib: PerGib(25_000),
        budget: None,
        profile: ProfileId(hash("det-1")),
        epoch: UnixTime(1_700_000_000_000),
        nonce: [9; 16],
    }
}

fn offered() -> Offer {
    Offer {
        job: JobId(hash("job")),
        program: BlobId::of(b"program"),
        program_len: 7,
        profile: ProfileId(hash("det-1")),
        tasks: 300,
        input_bytes: 5_000_000,
        limits: TaskLimits::default(),
        ceiling: Price(1_000),
        per_gib: PerGib(25_000),
        expected_fuel: Some(Fuel(7_000_000)),
        seats: 4,
        bids_wanted: 64,
        depth: 3,
        fraction: u64::MAX,
        contacts: vec![Bytes(vec![4, 192, 0, 2, 1, 6, 15, 161])],
        nonce_hash: hash("nonce"),
        closes_ms: 400,
        expires: UnixTime(1_700_000_060_000),
        attempt: 1,
        ext: Ext::new(),
    }
}

fn voided(job: JobId, lease: LeaseId) -> Void {
    let input = TaskInput::Blob(BlobId::of(b"part"), 4);
    Void { job, lease, task: 3, claim: ClaimId(hash("claim")), input, outcome: outcome() }
}

/// One message of each kind, with nothing in it left to chance.
fn samples(worker: PeerId) -> Vec<Message> {
    let (job_id, lease, offer) = (JobId(hash("job")), LeaseId(hash("lease")), OfferId(hash("offer")));
    let salt = hash("salt");
    vec![
        job().into(),
        offered().into(),
        OfferClosed { offer, depth: 3, expires: UnixTime(1_700_000_060_000) }.into(),
        Bid {
            offer,
            price: Price(900),
            slots: 2,
            arch: Arch::Aarch64,
            expires: UnixTime(1_700_000_060_000),
            ext: Ext::new(),
        }
        .into(),
        Closing {
            offer,
            nonce: hash("n"),
            bids: vec![BidEntry { bidder: worker, bid: hash("bid"), score: 947, delivery_ppm: 950_000 }],
            standing: Standing::Won,
        }
        .into(),
        Lease {
            offer,
            worker,
            job: job(),
            price: Price(950),
            heartbeat_ms: 5_000,
            commit_first: true,
            slice_tasks: 64,
            hold_back_tasks: 20,
            fee: Credits(65_536_000),
            ext: Ext::new(),
        }
        .into(),
        Decline { lease, reason: DeclineReason::Busy }.into(),
        Assign {
            lease,
            tasks: vec![
                Assigned { task: 0, input: TaskInput::None },
                Assigned { task: 1, input: TaskInput::Inline(Bytes(b"text".to_vec())) },
                Assigned { task: 2, input: TaskInput::Blob(BlobId::of(b"part"), 4) },
            ],
        }
        .into(),
        HandBack { lease, tasks: vec![7, 8], reason: HandBackReason::DevicePaused }.into(),
        Heartbeat { leases: vec![(lease, 12)] }.into(),
        Commit {
            job: job_id,
            lease,
            commits: vec![Committed { task: 3, commitment: commitment(&salt, &job_id, &worker, 3, &outcome()) }],
        }
        .into(),
        Reveal { lease, tasks: vec![3], bare: true }.into(),
        Claim {
            job: job_id,
            lease,
            profile: ProfileId(hash("det-1")),
            results: vec![Claimed { task: 3, input: Some(BlobId::of(b"part")), outcome: outcome(), salt: Some(salt) }],
        }
        .into(),
        ClaimAck { lease, claim: ClaimId(hash("claim")) }.into(),
        Verdicts { job: job_id, lease, accepted: vec![3], owed: Credits(950_000_000) }.into(),
        voided(job_id, lease).into(),
        LeaseEnd { lease, reason: EndReason::JobDone }.into(),
        Payment { statements: vec![Bytes(b"receipt".to_vec()), Bytes(b"voucher".to_vec())] }.into(),
    ]
}

fn key() -> Key {
    Key::from_seed(&[42; 32])
}

fn sealed_bid() -> Envelope {
    let bid = samples(key().peer()).into_iter().find(|message| message.kind() == Kind::Bid).expect("a bid");
    Envelope::seal(&bid, vec![], &key())
}

#[test]
fn every_kind_round_trips_and_its_bytes_are_golden() {
    let key = key();
    let messages = samples(key.peer());
    assert_eq!(messages.iter().map(Message::kind).collect::<Vec<_>>(), Kind::ALL);
    let mut text = String::new();
    for message in &messages {
        let bytes = Envelope::seal(message, vec![Bytes(b"42\n".to_vec())], &key).encode();
        let opened = Envelope::decode(&bytes).and_then(|sent| sent.open_direct(key.peer(), &Strict)).expect("opens");
        assert_eq!(&opened.content, message);
        assert_eq!(opened.id, envelope::id(message));
        text += &format!("{} {} {}\n", message.kind().name(), opened.id, hex::encode(bytes));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../specs/vectors/messages.txt");
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(path, &text).expect("vectors written");
    }
    let golden = std::fs::read_to_string(path).expect("specs/vectors/messages.txt");
    assert_eq!(text, golden, "the wire format changed: if that is meant, run with UPDATE_VECTORS=1");
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    let bytes = sealed_bid().encode();
    for at in 0..bytes.len() {
        for bit in [0x01, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= bit;
            let opened = Envelope::decode(&changed).and_then(|sent| sent.open_direct(key().peer(), &Strict));
            assert!(opened.is_err(), "byte {at} changed and still accepted");
        }
    }
}

#[test]
fn a_seal_of_somebody_else_is_refused() {
    let other = Key::from_seed(&[1; 32]);
    assert_eq!(sealed_bid().open_direct(other.peer(), &Strict), Err(OpenError::Signer));
}

#[test]
fn a_kind_that_needs_a_seal_is_refused_without_one() {
    // The only difference is the absent seal: take an unsealed kind's envelope and rename it.
    let reveal = Message::from(Reveal { lease: LeaseId(hash("lease")), tasks: vec![1], bare: false });
    let bytes = Envelope::seal(&reveal, vec![], &key()).encode();
    let renamed: Vec<u8> = {
        let at = bytes.windows(6).position(|window| window == b"reveal").expect("the kind");
        let mut bytes = bytes;
        bytes.splice(at - 1..at + 6, [0x65, b'c', b'l', b'a', b'i', b'm']);
        bytes
    };
    let opened = Envelope::decode(&renamed).and_then(|sent| sent.open_direct(key().peer(), &Strict));
    assert_eq!(opened, Err(OpenError::Seal(true)));
    let gossiped = Envelope::seal(&reveal, vec![], &key()).open_sealed(&Strict);
    assert_eq!(gossiped, Err(OpenError::Seal(true)));
}

#[test]
fn a_list_longer_than_its_bound_is_refused() {
    let tasks = vec![1; limits::TASKS_PER_MESSAGE_MAX + 1];
    let reveal = Message::from(Reveal { lease: LeaseId(hash("lease")), tasks, bare: false });
    let opened = Envelope::seal(&reveal, vec![], &key()).open_direct(key().peer(), &Strict);
    assert!(matches!(opened, Err(OpenError::Bounds(_))), "{opened:?}");
}

#[test]
fn an_input_that_should_be_a_blob_is_not_sent_along() {
    let assign = |len: usize| {
        let input = TaskInput::Inline(Bytes(vec![0; len]));
        let small = Assigned { task: 0, input: TaskInput::None };
        let tasks = vec![small, Assigned { task: 1, input }];
        Envelope::seal(&Assign { lease: LeaseId(hash("lease")), tasks }.into(), vec![], &key())
    };
    for (len, is_in_bounds) in [(limits::INLINE_BYTES_MAX, true), (limits::INLINE_BYTES_MAX + 1, false)] {
        let opened = assign(len).open_direct(key().peer(), &Strict);
        assert_eq!(opened.is_ok(), is_in_bounds, "{opened:?}");
    }
}

#[test]
fn a_gib_has_a_price_that_can_be_counted() {
    for (per_gib, is_in_bounds) in [(limits::PER_GIB_MAX, true), (limits::PER_GIB_MAX + 1, false)] {
        let (offer, job) = (Offer { per_gib: PerGib(per_gib), ..offered() }, Job { per_gib: PerGib(per_gib), ..job() });
        assert_eq!(Message::from(offer).check().is_ok(), is_in_bounds);
        assert_eq!(Message::from(job).check().is_ok(), is_in_bounds);
    }
}

#[test]
fn a_body_over_its_kinds_size_is_refused_before_it_is_decoded() {
    let mut ext = Ext::new();
    ext.insert("later".into(), Bytes(vec![0; limits::BID_BYTES_MAX]));
    let bid =
        Bid { offer: OfferId(hash("o")), price: Price(1), slots: 1, arch: Arch::Other, expires: UnixTime(0), ext };
    let bytes = Envelope::seal(&bid.into(), vec![], &key()).encode();
    assert!(matches!(Envelope::decode(&bytes), Err(OpenError::Decode(cbor::DecodeError::TooLong { .. }))));
}

#[test]
fn unknown_fields_live_in_ext_and_nowhere_else() {
    let mut ext = Ext::new();
    ext.insert("later".into(), Bytes(vec![7]));
    let bid = Message::from(Bid {
        offer: OfferId(hash("o")),
        price: Price(1),
        slots: 1,
        arch: Arch::Other,
        expires: UnixTime(0),
        ext,
    });
    let opened = Envelope::seal(&bid, vec![], &key()).open_direct(key().peer(), &Strict).expect("ext is ignored");
    assert_eq!(opened.content, bid);
    // The same body with one more pair in the outer map: {…, "x": 1}.
    let mut body = bid.encode_body();
    body[0] += 1;
    body.extend_from_slice(&[0x61, b'x', 0x01]);
    assert!(Message::decode_body(Kind::Bid, &body).is_err());
}

#[test]
fn a_copied_commitment_fits_nobody_else() {
    let (salt, job) = (hash("salt"), JobId(hash("job")));
    let mine = commitment(&salt, &job, &PeerId([1; 32]), 3, &outcome());
    assert_ne!(mine, commitment(&salt, &job, &PeerId([2; 32]), 3, &outcome()));
    assert_ne!(mine, commitment(&salt, &job, &PeerId([1; 32]), 4, &outcome()));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Envelope::decode(&bytes);
        for &kind in Kind::ALL {
            let _ = Message::decode_body(kind, &bytes);
        }
    }

    #[test]
    fn mutated_messages_decode_to_their_own_bytes_or_not_at_all(
        which in 0usize..17, cuts in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..4)
    ) {
        let message = &samples(key().peer())[which];
        let mut body = message.encode_body();
        for (at, value) in cuts {
            let at = usize::from(at) % body.len();
            body[at] = value;
        }
        if let Ok(decoded) = Message::decode_body(message.kind(), &body) {
            prop_assert_eq!(decoded.encode_body(), body);
        }
    }
}

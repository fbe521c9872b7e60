//! Each end of an exchange against a hostile other, played byte by byte.

use crate::{
    pipe::{End, pipe},
    store::open,
    swarm::{PATIENT, PLENTY, Swarm, options, peer_id, wanted},
};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use pocketmesh_blobs::{Fault, FetchError, Options, Rates, ServeError, Served, Uplink, Wanted, serve};
use pocketmesh_types::BlobId;
use std::{sync::Arc, time::Duration};

/// For tests in which the other end never does what is waited for.
const IMPATIENT: Duration = Duration::from_millis(50);
const FREE: Rates = Rates { total: None, per_peer: None };
const REQUEST_BYTES: usize = 53;

fn answer(status: u8, len: u64, body: &[u8]) -> Vec<u8> {
    [&[status], &len.to_le_bytes()[..], body].concat()
}

/// Fetches from a peer that answers any request with `answer`, then closes, or never says anything more.
async fn fetch_from_liar(wanted: Wanted, answer: Vec<u8>, closes: bool) -> Fault {
    let swarm = Swarm::default();
    let answer = Arc::new(answer);
    swarm.behave(1, move |_, mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            let mut request = [0; REQUEST_BYTES];
            if stream.read_exact(&mut request).await.is_err() {
                return;
            }
            // The fetcher may hang up in the middle.
            let _ = stream.write_all(&answer).await;
            if !closes {
                std::future::pending::<()>().await;
            }
        }
    });
    let fetcher = swarm.join(9, FREE);
    let patience = if closes { PATIENT } else { IMPATIENT };
    let hasty = Options { patience, give_up: Duration::from_millis(1500), ..options() };
    let error = fetcher.fetch_with(wanted, &[1], hasty, Arc::default()).await.unwrap_err();
    let usage = fetcher.store.usage();
    assert_eq!((usage.blobs, usage.used_bytes), (0, 0), "{error} left something");
    match error {
        FetchError::NotHere { mut faults, .. } => faults.remove(&peer_id(1)).unwrap(),
        FetchError::TooLong { len, max_bytes } => Fault::TooLong { len, max_bytes },
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn wrong_bytes_are_blamed_and_never_visible() {
    let id = BlobId::of(b"right");
    for wanted in [wanted(id, 5), Wanted::new(id, None, PLENTY)] {
        let fault = fetch_from_liar(wanted, answer(0, 5, b"wrong"), true).await;
        assert!(matches!(fault, Fault::WrongBytes { group: 0 }), "{fault}");
        assert!(fault.is_lie());
    }
}

#[tokio::test]
async fn a_length_that_was_not_wanted_is_refused_before_a_byte_is_taken() {
    let id = BlobId::of(b"right");
    for (wanted, len) in [
        (Wanted::new(id, None, PLENTY), PLENTY + 1),
        (Wanted::new(id, None, PLENTY), u64::MAX),
        (Wanted::new(id, None, 4), 5),
        (wanted(id, 5), 6),
        (wanted(id, 5), 4),
        (wanted(id, 10 << 20), 5),
        (wanted(id, 10 << 20), (10 << 20) + 1),
    ] {
        for status in [0, 2, 3] {
            let fault = fetch_from_liar(wanted.clone(), answer(status, len, &[0; 100]), true).await;
            assert!(matches!(fault, Fault::TooLong { .. } | Fault::WrongLength { .. }), "{fault}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_ends_early_is_cut_short() {
    let id = BlobId::of(b"right");
    let whole = answer(0, 100_000, &[1; 99_999]);
    for bytes in [0, 5, 9, 50, whole.len()] {
        let fault = fetch_from_liar(wanted(id, 100_000), whole[..bytes].to_vec(), true).await;
        assert!(matches!(fault, Fault::CutShort), "{fault}");
        assert!(!fault.is_lie());
    }
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let id = BlobId::of(b"right");
    for garbage in [answer(9, 0, b""), answer(1, 1, b""), answer(2, 5, b""), b"HTTP/1.1 400 Bad Request".to_vec()] {
        let fault = fetch_from_liar(wanted(id, 5), garbage, true).await;
        assert!(matches!(fault, Fault::Malformed), "{fault}");
    }
}

#[tokio::test]
async fn a_server_that_stalls_anywhere_is_given_up() {
    let id = BlobId::of(b"right");
    let whole = answer(0, 100_000, &[1; 80_000]);
    for bytes in [0, 3, 9, 500, whole.len()] {
        let fault = fetch_from_liar(wanted(id, 100_000), whole[..bytes].to_vec(), false).await;
        assert!(matches!(fault, Fault::Stalled), "{fault}");
    }
}

#[tokio::test]
async fn a_server_that_has_no_part_and_gets_none_is_given_up() {
    let id = BlobId::of(b"right");
    let fault = fetch_from_liar(wanted(id, 5_000_000), answer(3, 5_000_000, &[0; 3]), false).await;
    assert!(matches!(fault, Fault::Stalled), "{fault}");
}

/// What the client returns lives until the server is done: its end of the stream, if it does not hang up.
async fn serve_to<T>(client: impl AsyncFnOnce(End) -> T, patience: Duration) -> Result<Served, ServeError> {
    let (_home, store) = open(PLENTY);
    store.put(&[7; 1_000_000]).unwrap();
    let (near, mut far) = pipe(100);
    let uplink = Uplink::default();
    let (_kept, served) =
        futures::join!(client(near), serve(&mut far, peer_id(1), &store, &uplink, |_| true, patience));
    served
}

fn request(id: BlobId, kind: u8, first: u32, count: u32) -> Vec<u8> {
    let numbers = [first.to_le_bytes(), count.to_le_bytes()].concat();
    [&b"pmb2"[..], &[kind], &id.as_bytes()[..], &u64::MAX.to_le_bytes(), &numbers].concat()
}

fn whole() -> BlobId {
    BlobId::of(&[7; 1_000_000])
}

#[tokio::test]
async fn what_is_absent_and_what_is_forbidden_look_alike_and_the_stream_goes_on() {
    let (_home, store) = open(PLENTY);
    let (secret, public) = (store.put(b"secret").unwrap(), store.put(b"public").unwrap());
    let (mut near, mut far) = pipe(1000);
    let serving = tokio::spawn(async move {
        serve(&mut far, peer_id(1), &store, &Uplink::default(), |id| id != secret, PATIENT).await
    });
    for id in [secret, BlobId::of(b"absent")] {
        near.write_all(&request(id, 1, 0, 16)).await.unwrap();
        let mut head = [7; 9];
        near.read_exact(&mut head).await.unwrap();
        assert_eq!(head, [1, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    near.write_all(&request(public, 1, 0, 16)).await.unwrap();
    let mut head = [0; 15];
    near.read_exact(&mut head).await.unwrap();
    assert_eq!(head, *b"\x00\x06\0\0\0\0\0\0\0public");
    near.close().await.unwrap();
    assert_eq!(serving.await.unwrap().unwrap(), Served { requests: 3, bytes: 6 });
}

#[tokio::test]
async fn a_server_says_which_parts_it_has_and_when_it_does_not_have_a_group() {
    let client = async |mut near: End| {
        for asked in [request(whole(), 0, 0, 0), request(whole(), 1, 62, 1), request(whole(), 1, u32::MAX, 16)] {
            near.write_all(&asked).await.unwrap();
            let mut answer = [0; 10];
            near.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer[0], 3);
            assert_eq!(answer[1..9], 1_000_000_u64.to_le_bytes());
            assert_eq!(answer[9], 0b0000_1111);
        }
    };
    assert_eq!(serve_to(client, PATIENT).await.unwrap(), Served { requests: 3, bytes: 3 });
}

#[tokio::test]
async fn a_client_that_sends_garbage_is_dropped() {
    let too_many = request(whole(), 1, 0, 17);
    for garbage in [vec![b'x'; 53], b"GET / HTTP/1.1\r\n".to_vec(), too_many, request(whole(), 1, 0, 1)[..52].to_vec()]
    {
        let client = async |mut near: End| near.write_all(&garbage).await.unwrap();
        assert!(matches!(serve_to(client, PATIENT).await, Err(ServeError::Malformed)));
    }
}

#[tokio::test]
async fn a_client_that_asks_nothing_is_let_go_in_peace() {
    let client = async |near: End| near;
    assert_eq!(serve_to(client, IMPATIENT).await.unwrap(), Served::default());
}

#[tokio::test]
async fn a_client_that_stalls_in_a_request_or_takes_no_bytes_is_dropped() {
    for bytes in [request(whole(), 1, 0, 16)[..20].to_vec(), request(whole(), 1, 0, 16)] {
        let client = async |mut near: End| {
            near.write_all(&bytes).await.unwrap();
            near
        };
        let error = serve_to(client, IMPATIENT).await.unwrap_err();
        assert!(matches!(error, ServeError::Stalled), "{error}");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_is_no_disaster() {
    let client = async |mut near: End| {
        near.write_all(&request(whole(), 1, 0, 16)).await.unwrap();
        near.read_exact(&mut [0; 500]).await.unwrap();
    };
    assert!(matches!(serve_to(client, PATIENT).await, Err(ServeError::Stream(_))));
}

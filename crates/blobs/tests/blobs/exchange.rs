//! Fetching and serving: honest pairs first, then each end against a hostile other.

use crate::{
    pipe::{End, pipe},
    store::{files, open},
};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use pocketmesh_blobs::{FetchError, ServeError, Served, Store, Wanted, fetch, serve, store::PutError};
use pocketmesh_types::BlobId;
use std::{fs, path::Path, time::Duration};
use tempfile::TempDir;

const PLENTY: u64 = 1 << 30;
/// A safety net that no test reaches.
const PATIENT: Duration = Duration::from_secs(60);
/// For tests in which the other end never does what is waited for.
const IMPATIENT: Duration = Duration::from_millis(50);

fn wanted(id: BlobId) -> Wanted {
    Wanted { id, len: None, max_bytes: PLENTY }
}

fn nothing_left(home: &TempDir, store: &Store) -> bool {
    files(home.path()).is_empty() && store.usage().used_bytes == 0
}

/// Fetches from a peer that answers any request with `answer` and then closes.
async fn fetch_from_liar(wanted: Wanted, answer: Vec<u8>) -> FetchError {
    let (home, store) = open(PLENTY);
    let (mut ours, mut theirs) = pipe(1 << 16);
    let liar = tokio::spawn(async move {
        theirs.read_exact(&mut [0; 48]).await.unwrap();
        // The fetcher may hang up in the middle.
        let _ = theirs.write_all(&answer).await;
    });
    let error = fetch(&mut ours, wanted, &store, PATIENT).await.unwrap_err();
    drop(ours);
    liar.await.unwrap();
    assert!(nothing_left(&home, &store), "{error} left something");
    error
}

fn answer(status: u8, len: u64, bytes: &[u8]) -> Vec<u8> {
    [&[status], &len.to_le_bytes()[..], bytes].concat()
}

#[tokio::test]
async fn blobs_of_all_sizes_cross_one_stream_one_after_another() {
    let (_home, theirs) = open(PLENTY);
    let (_other_home, ours) = open(PLENTY);
    let (mut near, mut far) = pipe(1000);
    let sizes = [0, 1, 65_535, 65_536, 65_537, 1_000_000];
    let ids = sizes.map(|size| theirs.put(&vec![size as u8; size]).unwrap());
    let server = tokio::spawn(async move { serve(&mut far, &theirs, |_| true, PATIENT).await });
    for (id, size) in ids.into_iter().zip(sizes) {
        let known = Wanted { len: Some(size as u64), ..wanted(id) };
        assert_eq!(fetch(&mut near, known, &ours, PATIENT).await.unwrap(), size as u64);
        assert_eq!(ours.get(id, PLENTY).unwrap(), vec![size as u8; size]);
    }
    near.close().await.unwrap();
    let bytes = sizes.iter().sum::<usize>() as u64;
    assert_eq!(server.await.unwrap().unwrap(), Served { requests: 6, bytes });
}

#[tokio::test]
async fn what_is_absent_and_what_is_forbidden_look_alike_and_the_stream_goes_on() {
    let (_home, theirs) = open(PLENTY);
    let (_other_home, ours) = open(PLENTY);
    let (mut near, mut far) = pipe(1000);
    let (secret, public) = (theirs.put(b"secret").unwrap(), theirs.put(b"public").unwrap());
    tokio::spawn(async move { serve(&mut far, &theirs, |id| id != secret, PATIENT).await });
    for id in [secret, BlobId::of(b"absent")] {
        let error = fetch(&mut near, wanted(id), &ours, PATIENT).await.unwrap_err();
        assert!(matches!(error, FetchError::NotHere(_)), "{error}");
    }
    fetch(&mut near, wanted(public), &ours, PATIENT).await.unwrap();
}

#[tokio::test]
async fn a_blob_longer_than_wanted_is_not_sent() {
    let (_home, theirs) = open(PLENTY);
    let (other_home, ours) = open(PLENTY);
    let (mut near, mut far) = pipe(1000);
    let id = theirs.put(&[1; 5000]).unwrap();
    let server = tokio::spawn(async move { serve(&mut far, &theirs, |_| true, PATIENT).await });
    let error = fetch(&mut near, Wanted { max_bytes: 4999, ..wanted(id) }, &ours, PATIENT).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLong { len: 5000, max_bytes: 4999 }), "{error}");
    let error = fetch(&mut near, Wanted { len: Some(7), ..wanted(id) }, &ours, PATIENT).await.unwrap_err();
    assert!(matches!(error, FetchError::WrongLength { announced: 5000, wanted: 7 }), "{error}");
    drop(near);
    assert_eq!(server.await.unwrap().unwrap().bytes, 0);
    assert!(nothing_left(&other_home, &ours));
}

#[tokio::test]
async fn wrong_bytes_are_blamed_and_never_visible() {
    let id = BlobId::of(b"right");
    let error = fetch_from_liar(wanted(id), answer(0, 5, b"wrong")).await;
    assert!(matches!(error, FetchError::WrongBytes { found, .. } if found == BlobId::of(b"wrong")), "{error}");
}

#[tokio::test]
async fn a_length_that_was_not_wanted_is_refused_before_a_byte_is_taken() {
    let id = BlobId::of(b"right");
    let lies = [
        (wanted(id), PLENTY + 1),
        (wanted(id), u64::MAX),
        (Wanted { max_bytes: 4, ..wanted(id) }, 5),
        (Wanted { len: Some(5), ..wanted(id) }, 6),
        (Wanted { len: Some(5), ..wanted(id) }, 4),
    ];
    for (wanted, len) in lies {
        let error = fetch_from_liar(wanted, answer(0, len, &[0; 100])).await;
        assert!(matches!(error, FetchError::TooLong { .. } | FetchError::WrongLength { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_early_is_cut_short() {
    let id = BlobId::of(b"right");
    let whole = answer(0, 100_000, &[1; 99_999]);
    for (bytes, got_all, announced) in [(0, 0, 0), (5, 0, 0), (9, 0, 100_000), (whole.len(), 99_999, 100_000)] {
        match fetch_from_liar(wanted(id), whole[..bytes].to_vec()).await {
            FetchError::CutShort { got, len } => assert_eq!((got, len), (got_all, announced)),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let id = BlobId::of(b"right");
    for garbage in [answer(9, 0, b""), answer(1, 1, b""), answer(2, 5, b""), b"HTTP/1.1 400 Bad Request".to_vec()] {
        let error = fetch_from_liar(wanted(id), garbage).await;
        assert!(matches!(error, FetchError::Malformed), "{error}");
    }
}

#[tokio::test]
async fn bytes_behind_a_blob_spoil_the_next_request_only() {
    let (_home, store) = open(PLENTY);
    let (mut ours, mut theirs) = pipe(1 << 16);
    theirs.write_all(&answer(0, 5, b"right and more than that")).await.unwrap();
    let id = BlobId::of(b"right");
    fetch(&mut ours, wanted(id), &store, PATIENT).await.unwrap();
    let error = fetch(&mut ours, wanted(BlobId::of(b"next")), &store, PATIENT).await.unwrap_err();
    assert!(matches!(error, FetchError::Malformed), "{error}");
    assert_eq!(store.usage().blobs, 1);
}

#[tokio::test]
async fn a_server_that_stalls_anywhere_is_given_up() {
    let id = BlobId::of(b"right");
    let whole = answer(0, 100_000, &[1; 80_000]);
    for bytes in [0, 3, 9, 500, whole.len()] {
        let (home, store) = open(PLENTY);
        let (mut ours, mut theirs) = pipe(1 << 20);
        theirs.write_all(&whole[..bytes]).await.unwrap();
        let error = fetch(&mut ours, wanted(id), &store, IMPATIENT).await.unwrap_err();
        assert!(matches!(error, FetchError::Stalled), "{error}");
        assert!(nothing_left(&home, &store));
    }
}

#[tokio::test]
async fn a_server_that_does_not_take_the_request_is_given_up() {
    let (_home, store) = open(PLENTY);
    let (mut ours, _theirs) = pipe(10);
    let error = fetch(&mut ours, wanted(BlobId::of(b"right")), &store, IMPATIENT).await.unwrap_err();
    assert!(matches!(error, FetchError::Stalled), "{error}");
}

#[tokio::test]
async fn a_blob_that_the_quota_cannot_hold_is_given_up() {
    let (home, store) = open(50_000);
    let (mut ours, mut theirs) = pipe(1 << 20);
    theirs.write_all(&answer(0, 100_000, &[1; 100_000])).await.unwrap();
    let error = fetch(&mut ours, wanted(BlobId::of(&[1; 100_000])), &store, PATIENT).await.unwrap_err();
    assert!(matches!(error, FetchError::Store(PutError::QuotaExceeded { .. })), "{error}");
    assert!(nothing_left(&home, &store));
}

#[tokio::test]
async fn a_fetch_that_is_dropped_leaves_nothing() {
    let (home, store) = open(PLENTY);
    let (mut ours, mut theirs) = pipe(1 << 20);
    theirs.write_all(&answer(0, 100_000, &[1; 70_000])).await.unwrap();
    let id = BlobId::of(b"right");
    let dropped = tokio::time::timeout(IMPATIENT, fetch(&mut ours, wanted(id), &store, PATIENT)).await;
    assert!(dropped.is_err());
    // A write that had gone to a blocking thread ends there, and its writer with it.
    while !nothing_left(&home, &store) {
        tokio::task::yield_now().await;
    }
}

async fn serve_to(client: impl AsyncFnOnce(End)) -> Result<Served, ServeError> {
    let (_home, store) = open(PLENTY);
    store.put(&[7; 1_000_000]).unwrap();
    let (near, mut far) = pipe(100);
    let (_, served) = futures::join!(client(near), serve(&mut far, &store, |_| true, PATIENT));
    served
}

fn request(id: BlobId) -> Vec<u8> {
    [b"pmb1\0\0\0\0", &id.as_bytes()[..], &u64::MAX.to_le_bytes()].concat()
}

#[tokio::test]
async fn a_client_that_sends_garbage_is_dropped() {
    for garbage in [vec![b'x'; 48], b"GET / HTTP/1.1\r\n".to_vec(), request(BlobId::of(b""))[..47].to_vec()] {
        let client = async |mut near: End| near.write_all(&garbage).await.unwrap();
        assert!(matches!(serve_to(client).await, Err(ServeError::Malformed)));
    }
}

#[tokio::test]
async fn a_client_that_asks_nothing_is_let_go_in_peace() {
    let (_home, store) = open(PLENTY);
    let (_near, mut far) = pipe(100);
    assert_eq!(serve(&mut far, &store, |_| true, IMPATIENT).await.unwrap(), Served::default());
}

#[tokio::test]
async fn a_client_that_stalls_in_a_request_or_takes_no_bytes_is_dropped() {
    for bytes in [request(BlobId::of(b""))[..20].to_vec(), request(BlobId::of(&[7; 1_000_000]))] {
        let (_home, store) = open(PLENTY);
        store.put(&[7; 1_000_000]).unwrap();
        let (mut near, mut far) = pipe(100);
        near.write_all(&bytes).await.unwrap();
        let error = serve(&mut far, &store, |_| true, IMPATIENT).await.unwrap_err();
        assert!(matches!(error, ServeError::Stalled), "{error}");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_is_no_disaster() {
    let client = async |mut near: End| {
        near.write_all(&request(BlobId::of(&[7; 1_000_000]))).await.unwrap();
        near.read_exact(&mut [0; 500]).await.unwrap();
    };
    assert!(matches!(serve_to(client).await, Err(ServeError::Stream(_))));
}

fn only_file(folder: &Path) -> std::path::PathBuf {
    files(folder).pop().unwrap()
}

#[tokio::test]
async fn a_blob_that_was_damaged_on_the_servers_disk_is_not_served() {
    let (home, theirs) = open(PLENTY);
    let (_other_home, ours) = open(PLENTY);
    let id = theirs.put(&[7; 1000]).unwrap();
    fs::write(only_file(home.path()), [8; 1000]).unwrap();
    drop(theirs);
    let theirs = Store::open(home.path().join("blobs"), PLENTY).unwrap();
    let (mut near, mut far) = pipe(100);
    tokio::spawn(async move { serve(&mut far, &theirs, |_| true, PATIENT).await });
    let error = fetch(&mut near, wanted(id), &ours, PATIENT).await.unwrap_err();
    assert!(matches!(error, FetchError::NotHere(_)), "{error}");
}

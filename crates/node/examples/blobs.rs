//! Measures the exchange of blobs over real connections on loopback, against plain copies in the same run.
//!
//!     cargo run --release -p pocketmesh-node --example blobs -- throughput [MIB] [ROUNDS]
//!     cargo run --release -p pocketmesh-node --example blobs -- swarm [MIB] [UPLINK_MIB_PER_SECOND]
//!
//! All peers live in this process. Only ratios within a run mean anything.

use futures::io::{AsyncReadExt, AsyncWriteExt};
use pocketmesh_blobs::{Connect, Options, Progress, Providers, Rates, Store, Uplink, Wanted, fetch, serve};
use pocketmesh_network::{Config, Event, Handle, Multiaddr, Stream, start};
use pocketmesh_types::{BlobId, PeerId};
use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const MIB: u64 = 1 << 20;
const BLOBS: &str = "blobs/2";
/// The bytes of a file, as they are.
const FILE: &str = "file";
/// Bytes from memory.
const MEMORY: &str = "memory";
const PATIENCE: Duration = Duration::from_secs(60);
const CHUNK: usize = 256 << 10;

/// A peer with a store, that serves blobs and plain copies.
struct Peer {
    handle: Handle,
    store: Store,
    uplink: Uplink,
    home: TempDir,
}

#[derive(Clone)]
struct Line(Handle);

impl Connect for Line {
    type Stream = Stream;

    async fn open(&self, peer: PeerId, _fresh: bool) -> io::Result<Stream> {
        self.0.open(peer, BLOBS).await.map_err(io::Error::other)
    }

    fn keep(&self, _: PeerId, _: Stream) {}
}

impl Peer {
    async fn start(seed: u8, folder: &Path, rates: Rates, source: Option<PathBuf>) -> Result<Self> {
        let home = TempDir::new_in(folder)?;
        let store = Store::open(home.path().join("blobs"), 1 << 40)?;
        let mut config = Config::new([seed; 32], "bench");
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse()?];
        config.streams = vec![BLOBS, FILE, MEMORY];
        let (handle, mut events) = start(config).await?;
        let uplink = Uplink::new(rates);
        let (giving, out) = (store.clone(), uplink.clone());
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if let Event::Stream { peer, protocol, mut stream } = event {
                    let (giving, out, source) = (giving.clone(), out.clone(), source.clone());
                    tokio::spawn(async move {
                        match (protocol, source) {
                            (BLOBS, _) => drop(serve(&mut stream, peer, &giving, &out, |_| true, PATIENCE).await),
                            (FILE, Some(source)) => drop(send_file(&mut stream, source).await),
                            (_, Some(source)) => drop(send_memory(&mut stream, &source).await),
                            (_, None) => {}
                        }
                    });
                }
            }
        });
        Ok(Self { handle, store, uplink, home })
    }

    fn address(&self) -> Result<Multiaddr> {
        self.handle.listen_addrs().first().cloned().ok_or("it does not listen".into())
    }

    async fn fetch(&self, id: BlobId, len: u64, from: Vec<PeerId>) -> Result<Duration> {
        let start = Instant::now();
        let wanted = Wanted::new(id, Some(len), len);
        let line = Line(self.handle.clone());
        fetch(&self.store, &line, wanted, Providers::from(from), Options::default(), Arc::<Progress>::default())
            .await?;
        Ok(start.elapsed())
    }
}

async fn send_file(stream: &mut Stream, source: PathBuf) -> Result<()> {
    let mut file = File::open(source)?;
    loop {
        let read = tokio::task::spawn_blocking(move || -> io::Result<_> {
            let mut chunk = vec![0; CHUNK];
            let count = file.read(&mut chunk)?;
            chunk.truncate(count);
            Ok((file, chunk))
        });
        let chunk;
        (file, chunk) = read.await??;
        if chunk.is_empty() {
            break;
        }
        stream.write_all(&chunk).await?;
    }
    Ok(stream.close().await?)
}

async fn send_memory(stream: &mut Stream, source: &Path) -> Result<()> {
    let chunk = vec![7; CHUNK];
    let mut left = std::fs::metadata(source)?.len();
    while left > 0 {
        let size = left.min(CHUNK as u64);
        stream.write_all(&chunk[..size as usize]).await?;
        left -= size;
    }
    Ok(stream.close().await?)
}

/// A plain copy; into a file, if one is given.
async fn copy(from: PeerId, to: &Peer, protocol: &'static str, target: Option<PathBuf>) -> Result<Duration> {
    let start = Instant::now();
    let mut stream = to.handle.open(from, protocol).await?;
    let mut file = target.map(File::create).transpose()?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let mut filled = 0;
        while filled < CHUNK {
            match stream.read(&mut chunk[filled..]).await? {
                0 => break,
                count => filled += count,
            }
        }
        if filled == 0 {
            return Ok(start.elapsed());
        }
        if let Some(mut out) = file.take() {
            let written = tokio::task::spawn_blocking(move || -> io::Result<_> {
                out.write_all(&chunk[..filled])?;
                Ok((out, chunk))
            });
            let (out, back) = written.await??;
            (file, chunk) = (Some(out), back);
        }
    }
}

/// Writes bytes that nothing can compress, and returns where.
fn source(folder: &Path, len: u64) -> Result<PathBuf> {
    let path = folder.join("source");
    let mut file = File::create(&path)?;
    let (mut state, mut left) = (0x9e37_79b9_7f4a_7c15_u64, len);
    let mut chunk = vec![0; CHUNK];
    while left > 0 {
        for word in chunk.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        let size = left.min(CHUNK as u64);
        file.write_all(&chunk[..size as usize])?;
        left -= size;
    }
    Ok(path)
}

/// The resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or(0) << 10
}

/// Watches the resident memory until it is dropped.
struct Watch {
    peak: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Watch {
    fn start() -> Self {
        let (peak, over) = (Arc::new(AtomicU64::new(resident())), Arc::new(AtomicBool::new(false)));
        let (seen, ends) = (peak.clone(), over.clone());
        std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                seen.fetch_max(resident(), Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_millis(5));
            }
        });
        Self { peak, over }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn rate(len: u64, span: Duration) -> f64 {
    len as f64 / 1e6 / span.as_secs_f64()
}

/// Processor time that this process has taken so far, all threads, in the kernel and outside.
fn processor() -> Duration {
    const TICKS_PER_SECOND: u64 = 100;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// What one copy took.
#[derive(Clone, Copy)]
struct Cost {
    span: Duration,
    processor: Duration,
}

impl Cost {
    async fn of(copying: impl Future<Output = Result<Duration>>) -> Result<Self> {
        let before = processor();
        let span = copying.await?;
        Ok(Self { span, processor: processor().saturating_sub(before) })
    }

    fn show(&self, len: u64) -> String {
        let gib = len as f64 / (1024 * MIB) as f64;
        format!("{:.0} MB/s, {:.2} s/GiB", rate(len, self.span), self.processor.as_secs_f64() / gib)
    }

    /// Speed and thrift, as shares of those of another.
    fn against(&self, other: &Self) -> (f64, f64) {
        let share = |mine: Duration, theirs: Duration| theirs.as_secs_f64() / mine.as_secs_f64();
        (share(self.span, other.span), share(self.processor, other.processor))
    }
}

async fn throughput(len: u64, rounds: u32) -> Result<()> {
    let folder = TempDir::new()?;
    let path = source(folder.path(), len)?;
    let one = Peer::start(1, folder.path(), Rates::default(), Some(path.clone())).await?;
    let other = Peer::start(2, folder.path(), Rates::default(), None).await?;
    other.handle.dial(one.address()?).await?;
    let from = one.handle.peer_id();
    let (store, read) = (one.store.clone(), path.clone());
    let put = move || store.put_reader(&mut File::open(read)?, len, pocketmesh_blobs::Durability::Refetchable);
    let id = tokio::task::spawn_blocking(put).await??;
    println!("{} MiB, provider and fetcher in one process; processor time is that of both", len / MIB);
    let mut shares = Vec::new();
    for round in 1..=rounds {
        let target = other.home.path().join("copy");
        let memory = Cost::of(copy(from, &other, MEMORY, None)).await?;
        let file = Cost::of(copy(from, &other, FILE, Some(target.clone()))).await?;
        std::fs::remove_file(&target)?;
        let before = resident();
        let watch = Watch::start();
        let blob = Cost::of(other.fetch(id, len, vec![from])).await?;
        let grown = watch.peak.load(Ordering::Relaxed).saturating_sub(before);
        drop(watch);
        other.store.verify(id)?;
        other.store.remove(id)?;
        let (fast, thrifty) = blob.against(&file);
        println!(
            "round {round}: memory to memory {}; file to file {}; blob {}: of memory {:.2} of the speed, of file {fast:.2} of the speed and {thrifty:.2} of the thrift; resident memory grew by {:.1} MiB",
            memory.show(len),
            file.show(len),
            blob.show(len),
            blob.against(&memory).0,
            grown as f64 / MIB as f64
        );
        shares.push((fast, thrifty));
    }
    let median = |mut of: Vec<f64>| {
        of.sort_by(f64::total_cmp);
        of[of.len() / 2]
    };
    let (fast, thrifty): (Vec<f64>, Vec<f64>) = shares.into_iter().unzip();
    println!("median against file to file: {:.2} of the speed, {:.2} of the thrift", median(fast), median(thrifty));
    Ok(())
}

async fn swarm(len: u64, uplink: u64) -> Result<()> {
    const FETCHERS: u8 = 8;
    let folder = TempDir::new()?;
    let path = source(folder.path(), len)?;
    let rates = Rates { total: Some(uplink), per_peer: None };
    let first = Peer::start(1, folder.path(), rates, None).await?;
    let (store, read) = (first.store.clone(), path.clone());
    let put = move || store.put_reader(&mut File::open(read)?, len, pocketmesh_blobs::Durability::Refetchable);
    let id = tokio::task::spawn_blocking(put).await??;
    let mut fetchers = Vec::new();
    for number in 0..FETCHERS {
        let peer = Peer::start(10 + number, folder.path(), Rates::default(), None).await?;
        for other in [&first].into_iter().chain(&fetchers) {
            peer.handle.dial(other.address()?).await?;
        }
        fetchers.push(peer);
    }
    let everybody: Vec<PeerId> = [&first].into_iter().chain(&fetchers).map(|peer| peer.handle.peer_id()).collect();
    let start = Instant::now();
    let fetching = fetchers.iter().map(|peer| {
        let others = everybody.iter().copied().filter(|other| *other != peer.handle.peer_id()).collect();
        peer.fetch(id, len, others)
    });
    futures::future::try_join_all(fetching).await?;
    let took = start.elapsed();
    let one_copy = Duration::from_secs_f64(len as f64 / uplink as f64);
    let sent: u64 = first.uplink.sent().values().sum();
    println!(
        "{FETCHERS} fetchers of {} MiB, uplink of the first provider {} MiB/s: {:.1} s, {:.2} times one copy over that uplink ({:.1} s); the first provider sent {:.3} copies",
        len / MIB,
        uplink / MIB,
        took.as_secs_f64(),
        took.as_secs_f64() / one_copy.as_secs_f64(),
        one_copy.as_secs_f64(),
        sent as f64 / len as f64
    );
    for (number, peer) in (1..).zip(&fetchers) {
        peer.store.verify(id)?;
        let given: u64 = peer.uplink.sent().values().sum();
        println!("fetcher {number} gave {:.2} copies", given as f64 / len as f64);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let mut number = |default: u64| args.next().map_or(Ok(default), |text| text.parse::<u64>());
    match what.as_str() {
        "throughput" => throughput(number(1024)? * MIB, u32::try_from(number(3)?)?).await,
        "swarm" => swarm(number(256)? * MIB, number(16)? * MIB).await,
        other => Err(format!("`{other}` is neither throughput nor swarm").into()),
    }
}

//! Waiting: streams and files are always ready, and a sleep takes no time at all but moves the clock.

use super::MODULE;
use super::clock::Clock;
use super::descriptors::Object;
use super::errno::Errno;
use super::guest::{Answer, Guest, ITEMS_MAX, call};
use super::host::Host;
use super::streams::Stream;
use wasmtime::{Caller, Linker};

/// Fuel of each subscription, so that a loop of sleeps ends.
pub(super) const POLL_FUEL: u64 = 1000;

const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: usize = 32;
const FLAG_ABSOLUTE: u16 = 1;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "poll_oneoff",
        |caller: Caller<'_, Host>, subscriptions: u32, events: u32, count: u32, happened: u32| {
            call(caller, |guest| poll(guest, subscriptions, events, count, happened))
        },
    )?;
    Ok(())
}

/// What a program waits for.
struct Subscription {
    userdata: [u8; 8],
    kind: u8,
    wait: Wait,
}

enum Wait {
    /// Until so many nanoseconds from now.
    Sleep(u64),
    /// Not at all: this many bytes are there.
    Ready(u64),
    /// Not at all: it makes no sense.
    Never(Errno),
}

fn poll(guest: &mut Guest<'_>, subscriptions: u32, events: u32, count: u32, happened: u32) -> Answer {
    if count == 0 || count > ITEMS_MAX {
        return Err(Errno::Inval.into());
    }
    guest.charge(u64::from(count) * POLL_FUEL)?;
    let list = guest.bytes(subscriptions, count * SUBSCRIPTION_BYTES)?.to_vec();
    let mut waits = Vec::with_capacity(count as usize);
    for entry in list.as_chunks().0 {
        waits.push(subscription(guest, entry)?);
    }
    let slept = waits.iter().map(|entry| entry.nanos()).min().unwrap_or(0);
    let due: Vec<u8> = waits.iter().filter(|entry| entry.nanos() <= slept).flat_map(Subscription::event).collect();
    guest.range(happened, 4)?;
    guest.write(events, &due)?;
    guest.write_u32(happened, (due.len() / EVENT_BYTES) as u32)?;
    let clock = &mut guest.host().slept_ns;
    *clock = clock.saturating_add(slept);
    Ok(())
}

fn subscription(guest: &mut Guest<'_>, entry: &[u8; SUBSCRIPTION_BYTES as usize]) -> Answer<Subscription> {
    let (kind, id) = (entry[8], u32::from_le_bytes(field(entry, 16)));
    let wait = match kind {
        0 => {
            let (timeout, flags) = (u64::from_le_bytes(field(entry, 24)), u16::from_le_bytes(field(entry, 40)));
            match Clock::from_id(id) {
                Ok(clock) if flags & FLAG_ABSOLUTE != 0 => Wait::Sleep(timeout.saturating_sub(clock.now(guest)?)),
                Ok(_) => Wait::Sleep(timeout),
                Err(_) => Wait::Never(Errno::Inval),
            }
        }
        1 | 2 => ready(guest.host(), id, kind == 1).map_or_else(Wait::Never, Wait::Ready),
        _ => return Err(Errno::Inval.into()),
    };
    Ok(Subscription { userdata: field(entry, 0), kind, wait })
}

/// How many bytes a descriptor has to be read; of writing that is not told.
fn ready(host: &mut Host, fd: u32, reads: bool) -> Result<u64, Errno> {
    match &host.descriptors.get(fd)?.object {
        Object::Stream(stream) if reads != (*stream == Stream::Input) => Err(Errno::Badf),
        Object::Stream(_) if reads => Ok(host.stdin.left() as u64),
        Object::File(file) if reads && file.reads => {
            let size = host.files.nodes().content(file.ino)?.len();
            Ok(size.saturating_sub(file.at))
        }
        Object::File(file) if reads || !file.writes => Err(Errno::Badf),
        Object::Folder(_) => Err(Errno::Badf),
        Object::Stream(_) | Object::File(_) => Ok(0),
    }
}

impl Subscription {
    /// How long until it happens.
    fn nanos(&self) -> u64 {
        match self.wait {
            Wait::Sleep(nanos) => nanos,
            Wait::Ready(_) | Wait::Never(_) => 0,
        }
    }

    fn event(&self) -> [u8; EVENT_BYTES] {
        let (errno, bytes) = match self.wait {
            Wait::Sleep(_) => (0, 0),
            Wait::Ready(bytes) => (0, bytes),
            Wait::Never(errno) => (errno as u16, 0),
        };
        let mut event = [0; EVENT_BYTES];
        event[..8].copy_from_slice(&self.userdata);
        event[8..10].copy_from_slice(&errno.to_le_bytes());
        event[10] = self.kind;
        event[16..24].copy_from_slice(&bytes.to_le_bytes());
        event
    }
}

/// The bytes of a subscription from `at` on.
fn field<const N: usize>(entry: &[u8; SUBSCRIPTION_BYTES as usize], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&entry[at..at + N]);
    bytes
}

//! Arguments and environment: the task's, and nothing of the host's.

use super::MODULE;
use super::errno::Errno;
use super::guest::{Answer, BYTE_FUEL, Guest, ITEM_FUEL, call};
use super::host::Host;
use wasmtime::{Caller, Linker};

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "args_get", |caller: Caller<'_, Host>, list: u32, text: u32| {
        call(caller, |guest| get(guest, |host| &host.args, list, text))
    })?;
    linker.func_wrap(MODULE, "args_sizes_get", |caller: Caller<'_, Host>, count: u32, bytes: u32| {
        call(caller, |guest| sizes(guest, |host| &host.args, count, bytes))
    })?;
    linker.func_wrap(MODULE, "environ_get", |caller: Caller<'_, Host>, list: u32, text: u32| {
        call(caller, |guest| get(guest, |host| &host.env, list, text))
    })?;
    linker.func_wrap(MODULE, "environ_sizes_get", |caller: Caller<'_, Host>, count: u32, bytes: u32| {
        call(caller, |guest| sizes(guest, |host| &host.env, count, bytes))
    })?;
    Ok(())
}

type Which = fn(&Host) -> &Vec<String>;

/// Writes the strings, each with a zero behind it, to `text`, and where each begins to `list`.
fn get(guest: &mut Guest<'_>, which: Which, list: u32, text: u32) -> Answer {
    let strings = which(guest.host());
    let (count, total) = (strings.len(), strings.iter().map(|string| string.len() + 1).sum::<usize>());
    guest.charge(count as u64 * ITEM_FUEL + total as u64 * BYTE_FUEL)?;
    let strings = which(guest.host());
    let (mut starts, mut bytes) = (Vec::with_capacity(count * 4), Vec::with_capacity(total));
    for string in strings {
        let start = u32::try_from(bytes.len()).ok().and_then(|offset| text.checked_add(offset));
        starts.extend_from_slice(&start.ok_or(Errno::Fault)?.to_le_bytes());
        bytes.extend_from_slice(string.as_bytes());
        bytes.push(0);
    }
    guest.write(list, &starts)?;
    guest.write(text, &bytes)
}

/// Writes how many strings there are, and their bytes with the zeros.
fn sizes(guest: &mut Guest<'_>, which: Which, count: u32, bytes: u32) -> Answer {
    let strings = which(guest.host());
    let (strings, total) = (strings.len(), strings.iter().map(|string| string.len() + 1).sum::<usize>());
    guest.write_u32(count, u32::try_from(strings).map_err(|_| Errno::Inval)?)?;
    guest.write_u32(bytes, u32::try_from(total).map_err(|_| Errno::Inval)?)
}

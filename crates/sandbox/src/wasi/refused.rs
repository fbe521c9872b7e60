//! The functions that are not offered: links, rights, sockets and signals. They are present, so that any command can be
//! loaded, and answer as on a system that has none of these.

use super::MODULE;
use super::errno::Errno;
use super::guest::call;
use super::host::Host;
use wasmtime::{FuncType, Linker, Val, ValType};

/// Name, parameters (i = i32, l = i64), which of them is the descriptor, and the answer if it is open. For any other it
/// is `EBADF`.
const REFUSED: [(&str, &str, Option<usize>, Errno); 8] = [
    ("fd_fdstat_set_rights", "ill", Some(0), Errno::Notsup),
    ("path_link", "iiiiiii", Some(0), Errno::Notsup),
    ("path_symlink", "iiiii", Some(2), Errno::Notsup),
    ("proc_raise", "i", None, Errno::Nosys),
    ("sock_accept", "iii", Some(0), Errno::Notsock),
    ("sock_recv", "iiiiii", Some(0), Errno::Notsock),
    ("sock_send", "iiiii", Some(0), Errno::Notsock),
    ("sock_shutdown", "ii", Some(0), Errno::Notsock),
];

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    for (name, parameters, descriptor, errno) in REFUSED {
        refuse(linker, name, parameters, descriptor, errno)?;
    }
    Ok(())
}

fn refuse(
    linker: &mut Linker<Host>,
    name: &str,
    parameters: &str,
    descriptor: Option<usize>,
    errno: Errno,
) -> wasmtime::Result<()> {
    let types = parameters.chars().map(|letter| if letter == 'l' { ValType::I64 } else { ValType::I32 });
    let signature = FuncType::new(linker.engine(), types, [ValType::I32]);
    linker.func_new(MODULE, name, signature, move |caller, parameters, results| {
        let fd = descriptor.and_then(|index| parameters[index].i32());
        results[0] = Val::I32(call(caller, |guest| {
            if let Some(fd) = fd {
                guest.host().descriptors.get(fd as u32)?;
            }
            Err(errno.into())
        })?);
        Ok(())
    })?;
    Ok(())
}

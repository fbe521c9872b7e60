//! The functions that a program without files, directories and sockets has no use for: present, so that any command
//! can be loaded, and answering as they would on a system where descriptors 0 to 2 are pipes and there is nothing else.

use super::MODULE;
use super::errno::Errno;
use super::guest::call;
use super::host::Host;
use wasmtime::{FuncType, Linker, Val, ValType};

/// Name, parameters (i = i32, l = i64), and the answer for a descriptor that is open. For any other it is `EBADF`.
/// The first parameter is the descriptor.
const OF_DESCRIPTOR: [(&str, &str, Errno); 28] = [
    ("fd_advise", "illi", Errno::Spipe),
    ("fd_allocate", "ill", Errno::Spipe),
    ("fd_datasync", "i", Errno::Inval),
    ("fd_fdstat_set_rights", "ill", Errno::Notsup),
    ("fd_filestat_set_size", "il", Errno::Inval),
    ("fd_filestat_set_times", "illi", Errno::Notsup),
    ("fd_pread", "iiili", Errno::Spipe),
    // Nothing was opened beforehand: this is how a C library finds that out.
    ("fd_prestat_get", "ii", Errno::Badf),
    ("fd_prestat_dir_name", "iii", Errno::Badf),
    ("fd_pwrite", "iiili", Errno::Spipe),
    ("fd_readdir", "iiili", Errno::Notdir),
    ("fd_renumber", "ii", Errno::Notsup),
    ("fd_seek", "ilii", Errno::Spipe),
    ("fd_sync", "i", Errno::Inval),
    ("fd_tell", "ii", Errno::Spipe),
    ("path_create_directory", "iii", Errno::Notdir),
    ("path_filestat_get", "iiiii", Errno::Notdir),
    ("path_filestat_set_times", "iiiilli", Errno::Notdir),
    ("path_link", "iiiiiii", Errno::Notdir),
    ("path_open", "iiiiillii", Errno::Notdir),
    ("path_readlink", "iiiiii", Errno::Notdir),
    ("path_remove_directory", "iii", Errno::Notdir),
    ("path_rename", "iiiiii", Errno::Notdir),
    ("path_unlink_file", "iii", Errno::Notdir),
    ("sock_accept", "iii", Errno::Notsock),
    ("sock_recv", "iiiiii", Errno::Notsock),
    ("sock_send", "iiiii", Errno::Notsock),
    ("sock_shutdown", "ii", Errno::Notsock),
];

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    for (name, parameters, errno) in OF_DESCRIPTOR {
        refuse(linker, name, parameters, Some(0), errno)?;
    }
    // Its descriptor comes after the old path.
    refuse(linker, "path_symlink", "iiiii", Some(2), Errno::Notdir)?;
    refuse(linker, "proc_raise", "i", None, Errno::Nosys)
}

/// Adds a function that answers `errno`, but `EBADF` if the parameter that is a descriptor names none.
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
                guest.host().descriptors.open(fd as u32)?;
            }
            Err(errno.into())
        })?);
        Ok(())
    })?;
    Ok(())
}

//! WebAssembly text for animals: a module that imports just the WASI functions which it mentions.

/// Every function of WASI preview 1 that returns an errno: name, and parameters (i = i32, l = i64).
const FUNCTIONS: [(&str, &str); 45] = [
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "ili"),
    ("fd_advise", "illi"),
    ("fd_allocate", "ill"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "ill"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "il"),
    ("fd_filestat_set_times", "illi"),
    ("fd_pread", "iiili"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiili"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiili"),
    ("fd_renumber", "ii"),
    ("fd_seek", "ilii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiilli"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiillii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// A module with these fields, and the imports of every `$function` of WASI that they call.
pub fn module(fields: &str) -> String {
    let mut imports = String::new();
    for (name, parameters) in FUNCTIONS.into_iter().filter(|(name, _)| calls(fields, name)) {
        let parameters = parameters.replace('i', " i32").replace('l', " i64");
        imports += &wasi(name, &format!("(param{parameters}) (result i32)"));
    }
    if calls(fields, "proc_exit") {
        imports += &wasi("proc_exit", "(param i32)");
    }
    format!("(module {imports} {fields})")
}

/// A command with one page of memory, the locals `$i`, `$j` and `$n`, and this body.
pub fn command(body: &str) -> String {
    module(&format!(
        r#"(memory (export "memory") 1) (func (export "_start") (local $i i32) (local $j i32) (local $n i64) {body})"#
    ))
}

/// A command that does `body` for ever.
pub fn forever(body: &str) -> String {
    command(&format!("(loop $more {body} (br $more))"))
}

/// A command that exits with what `call` returns: an errno.
pub fn answer(call: &str) -> String {
    command(&format!("(call $proc_exit {call})"))
}

fn calls(fields: &str, name: &str) -> bool {
    fields.contains(&format!("${name} ")) || fields.contains(&format!("${name})"))
}

fn wasi(name: &str, signature: &str) -> String {
    format!(r#"(import "wasi_snapshot_preview1" "{name}" (func ${name} {signature}))"#)
}

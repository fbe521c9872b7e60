//! A list of WASI calls on files, each with the answer that is expected, turned into a program and run.
//!
//! Descriptors are numbers that a test can know: the lowest that is free. Every call leaves its errno and one number
//! (bytes moved, descriptor opened, position, size), and all are compared at the end, so that a failure names its call.

use crate::rig::{ENGINE, load, task, wat};
use pocketmesh_sandbox::{Contents, Engine, Executed, Task};
use pocketmesh_types::Exit;
use std::fmt::Write as _;

/// An errno, or success with a number if that matters.
pub type Answer = Result<Option<u64>, u32>;

pub const FINE: Answer = Ok(None);
pub const BADF: Answer = Err(8);
pub const EXIST: Answer = Err(20);
pub const FAULT: Answer = Err(21);
pub const FBIG: Answer = Err(22);
pub const ILSEQ: Answer = Err(25);
pub const INVAL: Answer = Err(28);
pub const ISDIR: Answer = Err(31);
pub const MFILE: Answer = Err(33);
pub const NAMETOOLONG: Answer = Err(37);
pub const NOENT: Answer = Err(44);
pub const NOSPC: Answer = Err(51);
pub const NOTDIR: Answer = Err(54);
pub const NOTEMPTY: Answer = Err(55);
pub const NOTSUP: Answer = Err(58);
pub const PERM: Answer = Err(63);
pub const ROFS: Answer = Err(69);
pub const SPIPE: Answer = Err(70);

pub fn value(number: u64) -> Answer {
    Ok(Some(number))
}

pub const CREATE: u32 = 1;
pub const DIRECTORY: u32 = 2;
pub const EXCLUSIVE: u32 = 4;
pub const TRUNCATE: u32 = 8;

pub const READ: u64 = 1 << 1;
pub const WRITE: u64 = 1 << 6;
pub const APPEND: u32 = 1;

/// The directory that is open from the start.
pub const ROOT: u32 = 3;

// Where things are in the program's memory.
const VECTOR: usize = 16;
const NUMBER: usize = 32;
const STAT: usize = 64;
const ERRNOS: usize = 0x1000;
const NUMBERS: usize = 0x1_0000;
/// What is read goes here, and what was written in bulk comes from here.
pub const BUFFER: usize = 0x10_0000;
pub const BUFFER_BYTES: usize = 0x10_0000;
const TEXT: usize = BUFFER + BUFFER_BYTES;
const PAGES: usize = 0x40;
const CALLS_MAX: usize = (NUMBERS - ERRNOS) / 4;

/// The functions by the names that calls have here.
const IMPORTS: &str = r#"
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (import "wasi_snapshot_preview1" "fd_advise" (func $advise (param i32 i64 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_allocate" (func $allocate (param i32 i64 i64) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_datasync" (func $datasync (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fdstat (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_fdstat_set_flags" (func $flags (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_fdstat_set_rights" (func $rights (param i32 i64 i64) (result i32)))
    (import "wasi_snapshot_preview1" "fd_filestat_get" (func $filestat (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $set_size (param i32 i64) (result i32)))
    (import "wasi_snapshot_preview1" "fd_filestat_set_times" (func $times (param i32 i64 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_pread" (func $pread (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func $prestat_name (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_pwrite" (func $pwrite (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_readdir" (func $readdir (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_sync" (func $sync (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_tell" (func $tell (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_filestat_get" (func $stat (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_filestat_set_times"
        (func $path_times (param i32 i32 i32 i32 i64 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_link" (func $link (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_readlink" (func $readlink (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_remove_directory" (func $rmdir (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_rename" (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_symlink" (func $symlink (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))"#;

/// A program in the making.
#[derive(Default)]
pub struct Script {
    body: String,
    text: Vec<u8>,
    expected: Vec<(String, Answer)>,
}

impl Script {
    /// Instructions of the test's own.
    pub fn raw(&mut self, instructions: &str) {
        self.body.push_str(instructions);
        self.body.push('\n');
    }

    /// Any call: its name and arguments as text. `number` is where it leaves the number that is compared.
    pub fn call(&mut self, call: &str, number: usize, answer: Answer) {
        let index = self.expected.len();
        assert!(index < CALLS_MAX, "a script has {CALLS_MAX} calls at most");
        let (errno, kept) = (ERRNOS + 4 * index, NUMBERS + 8 * index);
        let body = &mut self.body;
        writeln!(body, "(i64.store (i32.const {NUMBER}) (i64.const 0)) (i64.store (i32.const {number}) (i64.const 0))")
            .and_then(|()| writeln!(body, "(i32.store (i32.const {errno}) (call {call}))"))
            .and_then(|()| writeln!(body, "(i64.store (i32.const {kept}) (i64.load (i32.const {number})))"))
            .expect("text grows");
        self.expected.push((call.to_owned(), answer));
    }

    /// Bytes in the program's memory, as the two arguments pointer and length.
    pub fn text(&mut self, bytes: impl AsRef<[u8]>) -> String {
        let at = TEXT + self.text.len();
        self.text.extend_from_slice(bytes.as_ref());
        format!("(i32.const {at}) (i32.const {})", bytes.as_ref().len())
    }

    fn path(&mut self, name: &str, fd: u32, path: impl AsRef<[u8]>, answer: Answer) {
        let text = self.text(path);
        self.call(&format!("${name} (i32.const {fd}) {text}"), NUMBER, answer);
    }

    pub fn mkdir(&mut self, path: &str, answer: Answer) {
        self.path("mkdir", ROOT, path, answer);
    }

    pub fn rmdir(&mut self, path: &str, answer: Answer) {
        self.path("rmdir", ROOT, path, answer);
    }

    pub fn unlink(&mut self, path: &str, answer: Answer) {
        self.path("unlink", ROOT, path, answer);
    }

    pub fn rename(&mut self, from: &str, to: &str, answer: Answer) {
        let (from, to) = (self.text(from), self.text(to));
        self.call(&format!("$rename (i32.const {ROOT}) {from} (i32.const {ROOT}) {to}"), NUMBER, answer);
    }

    /// The size of what is at `path`.
    pub fn stat(&mut self, path: impl AsRef<[u8]>, answer: Answer) {
        self.stat_at(ROOT, path, 32, answer);
    }

    /// One field of what is at `path`: inode 8, file type 16, links 24, size 32, times 40, 48 and 56.
    pub fn stat_at(&mut self, fd: u32, path: impl AsRef<[u8]>, field: usize, answer: Answer) {
        let path = self.text(path);
        self.call(&format!("$stat (i32.const {fd}) (i32.const 1) {path} (i32.const {STAT})"), STAT + field, answer);
    }

    /// Opens from `/` with all flags; the answer's number is the descriptor.
    pub fn open(&mut self, path: &str, how: u32, rights: u64, answer: Answer) {
        self.open_at(ROOT, path, how, rights, 0, answer);
    }

    pub fn open_at(&mut self, fd: u32, path: &str, how: u32, rights: u64, flags: u32, answer: Answer) {
        let path = self.text(path);
        self.call(
            &format!(
                "$open (i32.const {fd}) (i32.const 1) {path} (i32.const {how}) (i64.const {rights}) (i64.const -1)
                    (i32.const {flags}) (i32.const {NUMBER})"
            ),
            NUMBER,
            answer,
        );
    }

    pub fn close(&mut self, fd: u32, answer: Answer) {
        self.call(&format!("$close (i32.const {fd})"), NUMBER, answer);
    }

    fn vector(&mut self, pointer_and_length: &str) {
        let (pointer, length) = pointer_and_length.split_once(") (").expect("two arguments");
        self.raw(&format!("(i32.store (i32.const {VECTOR}) {pointer}))"));
        self.raw(&format!("(i32.store (i32.const {}) ({length})", VECTOR + 4));
    }

    /// Writes; the answer's number is how much.
    pub fn write(&mut self, fd: u32, bytes: impl AsRef<[u8]>, answer: Answer) {
        let bytes = self.text(bytes);
        self.vector(&bytes);
        self.call(
            &format!("$write (i32.const {fd}) (i32.const {VECTOR}) (i32.const 1) (i32.const {NUMBER})"),
            NUMBER,
            answer,
        );
    }

    /// Writes `len` times this byte.
    pub fn write_bulk(&mut self, fd: u32, byte: u8, len: usize, answer: Answer) {
        self.raw(&format!("(memory.fill (i32.const {BUFFER}) (i32.const {byte}) (i32.const {len}))"));
        self.vector(&format!("(i32.const {BUFFER}) (i32.const {len})"));
        self.call(
            &format!("$write (i32.const {fd}) (i32.const {VECTOR}) (i32.const 1) (i32.const {NUMBER})"),
            NUMBER,
            answer,
        );
    }

    pub fn pwrite(&mut self, fd: u32, at: u64, bytes: impl AsRef<[u8]>, answer: Answer) {
        let bytes = self.text(bytes);
        self.vector(&bytes);
        self.call(
            &format!(
                "$pwrite (i32.const {fd}) (i32.const {VECTOR}) (i32.const 1) (i64.const {at}) (i32.const {NUMBER})"
            ),
            NUMBER,
            answer,
        );
    }

    /// Reads, and puts what was read to standard error.
    pub fn read(&mut self, fd: u32, len: usize, answer: Answer) {
        self.vector(&format!("(i32.const {BUFFER}) (i32.const {len})"));
        self.call(
            &format!("$read (i32.const {fd}) (i32.const {VECTOR}) (i32.const 1) (i32.const {NUMBER})"),
            NUMBER,
            answer,
        );
        self.show();
    }

    pub fn pread(&mut self, fd: u32, at: u64, len: usize, answer: Answer) {
        self.vector(&format!("(i32.const {BUFFER}) (i32.const {len})"));
        self.call(
            &format!(
                "$pread (i32.const {fd}) (i32.const {VECTOR}) (i32.const 1) (i64.const {at}) (i32.const {NUMBER})"
            ),
            NUMBER,
            answer,
        );
        self.show();
    }

    /// Lists, and puts the entries to standard error as they are.
    pub fn readdir(&mut self, fd: u32, len: usize, cookie: u64, answer: Answer) {
        self.call(
            &format!("$readdir (i32.const {fd}) (i32.const {BUFFER}) (i32.const {len}) (i64.const {cookie}) (i32.const {NUMBER})"),
            NUMBER,
            answer,
        );
        self.show();
    }

    /// Puts as much of the buffer to standard error as the last call says.
    fn show(&mut self) {
        self.raw(&format!("(call $put (i32.const 2) (i32.const {BUFFER}) (i32.load (i32.const {NUMBER})))"));
    }

    pub fn seek(&mut self, fd: u32, offset: i64, whence: u32, answer: Answer) {
        self.call(
            &format!("$seek (i32.const {fd}) (i64.const {offset}) (i32.const {whence}) (i32.const {NUMBER})"),
            NUMBER,
            answer,
        );
    }

    pub fn set_size(&mut self, fd: u32, size: u64, answer: Answer) {
        self.call(&format!("$set_size (i32.const {fd}) (i64.const {size})"), NUMBER, answer);
    }

    /// The program so far.
    pub fn wasm(&self) -> Vec<u8> {
        let text: String = self.text.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let calls = self.expected.len();
        wat(&format!(
            r#"(module {IMPORTS}
                (memory (export "memory") {PAGES})
                (data (i32.const {TEXT}) "{text}")
                (func $put (param $fd i32) (param $at i32) (param $len i32)
                    (i32.store (i32.const {VECTOR}) (local.get $at))
                    (i32.store (i32.const {}) (local.get $len))
                    (drop (call $write (local.get $fd) (i32.const {VECTOR}) (i32.const 1) (i32.const 8))))
                (func (export "_start") (local $i i32) {}
                    (call $put (i32.const 1) (i32.const {ERRNOS}) (i32.const {}))
                    (call $put (i32.const 1) (i32.const {NUMBERS}) (i32.const {}))))"#,
            VECTOR + 4,
            self.body,
            4 * calls,
            8 * calls,
        ))
    }

    /// Runs it and compares all answers. Returns the execution; standard error has what was read.
    pub fn run(&self) -> Executed {
        self.run_in(&ENGINE, task(), Contents::default())
    }

    pub fn run_with(&self, task: Task, contents: Contents) -> Executed {
        self.run_in(&ENGINE, task, contents)
    }

    pub fn run_in(&self, engine: &Engine, task: Task, contents: Contents) -> Executed {
        let run = engine.run(&load(engine, &self.wasm()), task, contents).expect("an outcome");
        assert_eq!(run.outcome.exit, Exit::Code(0));
        self.compare(&run.written.stdout);
        run
    }

    fn compare(&self, stdout: &[u8]) {
        let (errnos, numbers) = stdout.split_at(4 * self.expected.len());
        let errnos = errnos.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
        let numbers = numbers.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        for (index, ((call, expected), (errno, number))) in self.expected.iter().zip(errnos.zip(numbers)).enumerate() {
            let answer = match (errno, expected) {
                (0, Ok(None)) => FINE,
                (0, _) => value(number),
                _ => Err(errno),
            };
            assert_eq!(&answer, expected, "call {index}: {call}\n{}", self.strings(call));
        }
    }

    /// The texts that a call's arguments point to.
    fn strings(&self, call: &str) -> String {
        let numbers: Vec<usize> = call.split(['(', ')', ' ']).filter_map(|word| word.parse().ok()).collect();
        let texts = numbers.windows(2).filter_map(|pair| {
            let start = pair[0].checked_sub(TEXT)?;
            self.text.get(start..start + pair[1])
        });
        texts.map(|text| format!("{:?} ", String::from_utf8_lossy(&text[..text.len().min(80)]))).collect()
    }
}

/// The names in a listing, of those entries that are whole.
pub fn names(listing: &[u8]) -> Vec<String> {
    entries(listing).into_iter().map(|(name, _, _)| name).collect()
}

/// Name, inode and file type of each entry of a listing, as long as they are whole.
pub fn entries(mut listing: &[u8]) -> Vec<(String, u64, u8)> {
    let mut entries = Vec::new();
    while let Some((head, rest)) = listing.split_at_checked(24) {
        let len = u32::from_le_bytes(head[16..20].try_into().expect("4 bytes")) as usize;
        let Some((name, rest)) = rest.split_at_checked(len) else { break };
        let ino = u64::from_le_bytes(head[8..16].try_into().expect("8 bytes"));
        entries.push((String::from_utf8_lossy(name).into_owned(), ino, head[20]));
        listing = rest;
    }
    entries
}

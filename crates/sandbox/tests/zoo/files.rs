//! Programs that make too many files, too large ones, ones in odd places, or do one thing to them for ever.
//!
//! Files count in the memory limit of 4 MiB. Descriptor 3 is `/`, and `/in` holds nothing.

use crate::animal::{Animal, DONE, End, OUTPUT_LIMIT, code};
use crate::text::module;

const MFILE: End = code(33);
const NOSPC: End = code(51);

pub fn animals() -> Vec<Animal> {
    let mut animals: Vec<Animal> = [floods(), giants(), sizes(), places(), tricks()].into_iter().flatten().collect();
    animals.extend(storms().into_iter().flatten());
    animals
}

/// A command with helpers that exit with the errno if something fails. Paths are the strings in its page: `/tmp/f0000`
/// at 0, where `$number` writes its argument into the last four places, `tmp` and `out` and `in` at 100, 110, 120, and
/// a dot at 130, which names the directory itself. Results go to 200, lists of buffers are at 300.
fn command(body: &str) -> String {
    with_path("", body)
}

/// The same, with one more path at 1000.
fn with_path(path: &str, body: &str) -> String {
    module(&format!(
        r#"
        (data (i32.const 1000) "{path}") (memory (export "memory") 1)
        (data (i32.const 0) "tmp/f0000") (data (i32.const 50) "out/f0000") (data (i32.const 100) "tmp")
        (data (i32.const 110) "out") (data (i32.const 120) "in/f") (data (i32.const 130) "f0000")
        (data (i32.const 300) "\00\04\00\00\00\10\00\00")
        (func $must (param i32) (if (local.get 0) (then (call $proc_exit (local.get 0)))))
        ;; Writes a number in base 16, as the last four letters of the name at `at`.
        (func $number (param $at i32) (param $n i32) (local $digit i32)
            (loop $more
                (i32.store8 (i32.add (local.get $at) (i32.sub (i32.const 3) (local.get $digit)))
                    (i32.add (i32.const 97) (i32.and (local.get $n) (i32.const 15))))
                (local.set $n (i32.shr_u (local.get $n) (i32.const 4)))
                (br_if $more (i32.lt_u (local.tee $digit (i32.add (local.get $digit) (i32.const 1))) (i32.const 4)))))
        ;; Opens what is named at `path`, made if it is not there; returns its descriptor.
        (func $create (param $path i32) (param $len i32) (result i32)
            (call $must (call $path_open (i32.const 3) (i32.const 0) (local.get $path) (local.get $len) (i32.const 1)
                (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 200)))
            (i32.load (i32.const 200)))
        ;; Opens the directory named at `path`.
        (func $folder (param $in i32) (param $path i32) (param $len i32) (result i32)
            (call $must (call $path_open (local.get $in) (i32.const 0) (local.get $path) (local.get $len) (i32.const 2)
                (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 200)))
            (i32.load (i32.const 200)))
        ;; Makes `count` files in `/tmp`.
        (func $fill (param $count i32)
            (loop $more
                (call $number (i32.const 5) (local.get $count))
                (call $must (call $fd_close (call $create (i32.const 0) (i32.const 9))))
                (br_if $more (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))
        ;; Writes 4 KiB to a descriptor.
        (func $write (param $fd i32)
            (call $must (call $fd_write (local.get $fd) (i32.const 300) (i32.const 1) (i32.const 200))))
        (func (export "_start") (local $fd i32) (local $i i32) {body})"#
    ))
}

fn animal(name: &str, body: &str, end: End) -> Animal {
    Animal::text(&format!("files/{name}"), command(body), end)
}

/// More and more of something, until there is no more.
fn floods() -> Vec<Animal> {
    let ever =
        |body: &str| format!("(loop $more {body} (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $more))");
    vec![
        animal(
            "files without end",
            &ever(
                "(call $number (i32.const 5) (local.get $i))
            (call $must (call $fd_close (call $create (i32.const 0) (i32.const 9))))",
            ),
            NOSPC,
        )
        .with(|limits| limits.fuel.0 *= 4),
        animal(
            "files without end, for others to keep",
            &ever(
                "(call $number (i32.const 55) (local.get $i))
            (call $must (call $fd_close (call $create (i32.const 50) (i32.const 9))))",
            ),
            OUTPUT_LIMIT,
        ),
        animal(
            "more files to keep than anybody keeps",
            "(local.set $i (i32.const 4097))
            (loop $more
                (call $number (i32.const 55) (local.get $i))
                (call $must (call $fd_close (call $create (i32.const 50) (i32.const 9))))
                (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))",
            OUTPUT_LIMIT,
        ),
        animal("descriptors without end", &ever("(drop (call $create (i32.const 0) (i32.const 9)))"), MFILE),
    ]
}

/// One file that is too large, or too deep down.
fn giants() -> Vec<Animal> {
    let ever = "(loop $more (call $write (local.get $fd)) (br $more))";
    let folder = "(call $must (call $path_create_directory (local.get $fd) (i32.const 131) (i32.const 1)))";
    vec![
        animal(
            "a file without end",
            &format!("(local.set $fd (call $create (i32.const 0) (i32.const 9))) {}", ever),
            NOSPC,
        ),
        animal(
            "a file without end that has no name any more",
            &format!(
                "(local.set $fd (call $create (i32.const 0) (i32.const 9)))
             (call $must (call $path_unlink_file (i32.const 3) (i32.const 0) (i32.const 9))) {}",
                ever
            ),
            NOSPC,
        ),
        animal(
            "a file to keep that is larger than all output",
            &format!(
                "(local.set $fd (call $create (i32.const 50) (i32.const 9))) {} (call $write (local.get $fd))",
                "(call $write (local.get $fd))".repeat(16)
            ),
            OUTPUT_LIMIT,
        ),
        animal(
            "folders in folders, until the path is too long",
            &format!(
                "(local.set $fd (call $folder (i32.const 3) (i32.const 100) (i32.const 3)))
             (loop $down {folder}
                (local.set $i (call $folder (local.get $fd) (i32.const 131) (i32.const 1)))
                (call $must (call $fd_close (local.get $fd)))
                (local.set $fd (local.get $i)) (br $down))"
            ),
            code(37),
        ),
        animal(
            "all memory for files, none left to grow into",
            &format!(
                "(call $must (call $fd_filestat_set_size (call $create (i32.const 0) (i32.const 9)) (i64.const {})))
             (call $proc_exit (memory.grow (i32.const 1)))",
                62 << 16
            ),
            code(-1),
        ),
    ]
}

/// Sizes and places that no file has.
fn sizes() -> Vec<Animal> {
    let sized = |name: &str, call: &str, end: End| {
        animal(
            name,
            &format!("(local.set $fd (call $create (i32.const 0) (i32.const 9))) (call $proc_exit (call ${call}))"),
            end,
        )
    };
    let far =
        |at: &str| format!("fd_pwrite (local.get $fd) (i32.const 300) (i32.const 1) (i64.const {at}) (i32.const 200)");
    let read =
        |at: &str| format!("fd_pread (local.get $fd) (i32.const 300) (i32.const 1) (i64.const {at}) (i32.const 200)");
    vec![
        sized("a byte after a terabyte of nothing", &far("0x10000000000"), NOSPC),
        sized("a byte at the end of all places", &far("0x7fffffffffffffff"), code(22)),
        sized("a byte at -1", &far("-1"), code(22)),
        sized("a read at the end of all places", &read("0x7fffffffffffffff"), DONE),
        sized("a read at -1", &read("-1"), DONE),
        sized("a size of -1", "fd_filestat_set_size (local.get $fd) (i64.const -1)", code(22)),
        sized("a size of a terabyte", "fd_filestat_set_size (local.get $fd) (i64.const 0x10000000000)", NOSPC),
        sized("room for 2^64 bytes", "fd_allocate (local.get $fd) (i64.const -1) (i64.const 1)", code(28)),
        sized("room for a terabyte", "fd_allocate (local.get $fd) (i64.const 0) (i64.const 0x10000000000)", NOSPC),
        sized(
            "a position before the start",
            "fd_seek (local.get $fd) (i64.const -1) (i32.const 1) (i32.const 200)",
            code(28),
        ),
        sized(
            "a position beyond all",
            "fd_seek (local.get $fd) (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 200)",
            DONE,
        ),
        sized(
            "a position from nowhere",
            "fd_seek (local.get $fd) (i64.const 0) (i32.const -1) (i32.const 200)",
            code(28),
        ),
        sized(
            "a listing of a file",
            "fd_readdir (local.get $fd) (i32.const 1024) (i32.const 1024) (i64.const 0) (i32.const 200)",
            code(54),
        ),
        sized("a descriptor moved far away", "fd_renumber (local.get $fd) (i32.const -1)", code(8)),
    ]
}

/// Paths that lead out, nowhere, or where nothing may be written. Each exits with the errno.
fn places() -> Vec<Animal> {
    let path = |name: &str, path: &str, end: End| {
        let len = wat_len(path);
        let text = with_path(path, &format!(
            "(call $proc_exit (call $path_open (i32.const 3) (i32.const 1) (i32.const 1000) (i32.const {len}) (i32.const 1)
                (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 200)))"));
        Animal::text(&format!("files/a path {name}"), text, end)
    };
    vec![
        path("out of the world", "../../etc/passwd", code(63)),
        path("out of the world by way of the inside", "tmp/../../etc/passwd", code(63)),
        path("of the host", "/etc/passwd", code(63)),
        path("of 256 letters", &format!("tmp/{}", "x".repeat(256)), code(37)),
        path("of 255 letters", &format!("tmp/{}", "x".repeat(255)), DONE),
        path("of 5,000 letters", &"x/".repeat(2500), code(37)),
        path("through nothing", "tmp/none/f", code(44)),
        path("of nothing", "", code(44)),
        path("with a zero in it", "tmp/a\\00b", code(28)),
        path("that would write on a terminal", "tmp/\\1b[2J", code(28)),
        path("that is no UTF-8", "tmp/\\ff\\fe", code(25)),
        path("to a file as if it were a folder", "tmp/f/", code(31)),
        path("into what can only be read", "in/f", code(69)),
        path("next to the roots", "f", code(69)),
    ]
}

/// Bytes of a string as it is written in text: an escape of two digits is one.
fn wat_len(text: &str) -> usize {
    text.len() - 2 * text.matches('\\').count()
}

/// What other systems got wrong at some time.
fn tricks() -> Vec<Animal> {
    vec![
        Animal::text("files/a folder put into itself", with_path("tmp/f/in", "
            (call $must (call $path_create_directory (i32.const 3) (i32.const 0) (i32.const 5)))
            (call $proc_exit (call $path_rename (i32.const 3) (i32.const 0) (i32.const 5) (i32.const 3) (i32.const 1000) (i32.const 8)))"), code(28)),
        animal("the roots renamed", "
            (call $proc_exit (call $path_rename (i32.const 3) (i32.const 100) (i32.const 3) (i32.const 3) (i32.const 130) (i32.const 1)))", code(69)),
        animal("the folder underfoot removed, then a file made in it", "
            (call $must (call $path_create_directory (i32.const 3) (i32.const 0) (i32.const 5)))
            (local.set $fd (call $folder (i32.const 3) (i32.const 0) (i32.const 5)))
            (call $must (call $path_remove_directory (i32.const 3) (i32.const 0) (i32.const 5)))
            (call $proc_exit (call $path_create_directory (local.get $fd) (i32.const 130) (i32.const 1)))", code(44)),
        animal("a symbolic link", "
            (call $proc_exit (call $path_symlink (i32.const 100) (i32.const 3) (i32.const 3) (i32.const 0) (i32.const 9)))", code(58)),
        animal("a hard link", "
            (call $must (call $fd_close (call $create (i32.const 0) (i32.const 9))))
            (call $proc_exit (call $path_link (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 3) (i32.const 50) (i32.const 9)))", code(58)),
        animal("the root closed, then used", "
            (call $must (call $fd_close (i32.const 3)))
            (call $proc_exit (call $path_create_directory (i32.const 3) (i32.const 0) (i32.const 5)))", code(8)),
        animal("a listing from the end of all entries", "
            (call $must (call $fd_readdir (i32.const 3) (i32.const 1024) (i32.const 1024) (i64.const -1) (i32.const 200)))
            (call $proc_exit (i32.load (i32.const 200)))", DONE),
        animal("a standard stream that is a file now", "
            (local.set $fd (call $create (i32.const 50) (i32.const 9)))
            (call $must (call $fd_renumber (local.get $fd) (i32.const 1)))
            (loop $more (call $write (i32.const 1)) (br $more))", OUTPUT_LIMIT),
    ]
}

/// One thing, again and again. Where a call looks at many files, each of them has to cost.
fn storms() -> Vec<[Animal; 2]> {
    let storm = |name: &str, first: &str, again: &str| {
        Animal::endless(&format!("files/{name}"), command(&format!("{first} (loop $more {again} (br $more))")))
    };
    let open = "(local.set $fd (call $create (i32.const 0) (i32.const 9)))";
    let crowd =
        "(call $fill (i32.const 4000)) (local.set $fd (call $folder (i32.const 3) (i32.const 100) (i32.const 3)))";
    let list = |cookie: &str, len: u32| {
        format!(
            "(call $must (call $fd_readdir (local.get $fd) (i32.const 1024) (i32.const {len}) (i64.const {cookie}) (i32.const 200)))"
        )
    };
    vec![
        storm("one file made and removed", "", "(call $must (call $fd_close (call $create (i32.const 0) (i32.const 9))))
            (call $must (call $path_unlink_file (i32.const 3) (i32.const 0) (i32.const 9)))"),
        storm("one file opened and closed", "", "(call $must (call $fd_close (call $create (i32.const 0) (i32.const 9))))"),
        storm("a name that is not there looked up", "", "(drop (call $path_filestat_get (i32.const 3) (i32.const 0) (i32.const 50) (i32.const 9) (i32.const 400)))"),
        storm("a file renamed to and fro", "(call $must (call $fd_close (call $create (i32.const 0) (i32.const 9))))",
            "(call $must (call $path_rename (i32.const 3) (i32.const 0) (i32.const 9) (i32.const 3) (i32.const 50) (i32.const 9)))
             (call $must (call $path_rename (i32.const 3) (i32.const 50) (i32.const 9) (i32.const 3) (i32.const 0) (i32.const 9)))"),
        storm("a megabyte of nothing given and taken", open,
            "(call $must (call $fd_filestat_set_size (local.get $fd) (i64.const 0x100000)))
             (call $must (call $fd_filestat_set_size (local.get $fd) (i64.const 0)))"),
        storm("the last byte of a chunk written and cut off", open,
            "(call $must (call $fd_pwrite (local.get $fd) (i32.const 300) (i32.const 1) (i64.const 61000) (i32.const 200)))
             (call $must (call $fd_filestat_set_size (local.get $fd) (i64.const 61001)))"),
        storm("reads at the end", open, "(call $must (call $fd_read (local.get $fd) (i32.const 300) (i32.const 1) (i32.const 200)))"),
        storm("4,000 files listed", crowd, &list("0", 60_000)),
        storm("4,000 files listed, a byte at a time", crowd, &list("0", 1)),
        storm("4,000 files listed, a byte at a time from the last one", &format!("{crowd} {}", list("0", 24)), &list("3999", 1)),
        storm("4,000 files listed where there is no memory to remember them", &format!("{crowd}
            (local.set $i (call $create (i32.const 0) (i32.const 9)))
            (loop $fill (br_if $fill (i32.eqz (call $fd_write (local.get $i) (i32.const 300) (i32.const 1) (i32.const 200)))))"),
            &list("0", 1)),
        storm("a folder of 4,000 files renamed to where it is", crowd, "(drop (call $path_rename (i32.const 3) (i32.const 100) (i32.const 3) (i32.const 3) (i32.const 100) (i32.const 3)))"),
        crowded_folder(),
    ]
}

/// A folder with many files, which is moved into itself, and so is not.
fn crowded_folder() -> [Animal; 2] {
    let text = command("
        (call $must (call $path_create_directory (i32.const 3) (i32.const 0) (i32.const 5)))
        (local.set $fd (call $folder (i32.const 3) (i32.const 0) (i32.const 5)))
        (local.set $i (i32.const 4000))
        (loop $fill
            (call $number (i32.const 131) (local.get $i))
            (call $must (call $path_create_directory (local.get $fd) (i32.const 130) (i32.const 5)))
            (br_if $fill (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
        (loop $more
            (drop (call $path_rename (i32.const 3) (i32.const 0) (i32.const 5) (local.get $fd) (i32.const 100) (i32.const 3)))
            (br $more))");
    Animal::endless("files/a folder of 4,000 moved into itself, which is refused", text)
}

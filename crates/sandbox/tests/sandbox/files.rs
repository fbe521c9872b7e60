//! The file tree, as a program sees it through preview 1: what is there, what may be done, and which errno says no.

use crate::files_script::{
    APPEND, Answer, BADF, BUFFER, CREATE, DIRECTORY, EXCLUSIVE, EXIST, FAULT, FBIG, FINE, ILSEQ, INVAL, ISDIR, MFILE,
    NAMETOOLONG, NOENT, NOTDIR, NOTEMPTY, NOTSUP, PERM, READ, ROFS, ROOT, SPIPE, Script, TRUNCATE, WRITE, entries,
    names, value,
};
use crate::rig::{task, with_files};
use pocketmesh_sandbox::{Collected, Contents, Task};

const BOTH: u64 = READ | WRITE;

fn collected(files: &[(&str, &[u8])]) -> Vec<Collected> {
    files.iter().map(|(path, bytes)| Collected { path: (*path).to_owned(), bytes: bytes.to_vec() }).collect()
}

/// A script that does a little of everything and leaves some files.
pub fn busy() -> Script {
    let mut script = Script::default();
    script.mkdir("out/a", FINE);
    script.open("out/a", DIRECTORY, READ, value(4));
    for number in 0..50 {
        script.open_at(4, &format!("file-{number}"), CREATE, BOTH, 0, value(5));
        script.write_bulk(5, number, 3000 * usize::from(number), FINE);
        script.pwrite(5, 1 << 17, "end", value(3));
        script.close(5, FINE);
    }
    for number in (0..50).step_by(3) {
        script.rename(&format!("out/a/file-{number}"), &format!("tmp/{number}"), FINE);
        script.stat_at(ROOT, format!("tmp/{number}"), 8, FINE);
    }
    script.rename("out/a", "out/b", FINE);
    script.readdir(4, 500, 0, value(500));
    script.readdir(4, 5000, 10, FINE);
    script.open("tmp/0", 0, READ, value(5));
    script.read(5, 200_000, value((1 << 17) + 3));
    script
}

#[test]
fn the_root_is_preopened_and_holds_three_directories() {
    let mut script = Script::default();
    script.call("$prestat (i32.const 3) (i32.const 32)", 32, value(1 << 32));
    script.call("$prestat_name (i32.const 3) (i32.const 64) (i32.const 1)", 64, value(u64::from(b'/')));
    script.call("$prestat_name (i32.const 3) (i32.const 64) (i32.const 0)", 64, NAMETOOLONG);
    script.call("$prestat_name (i32.const 4) (i32.const 64) (i32.const 1)", 64, BADF);
    script.readdir(ROOT, 4096, 0, FINE);
    for (ino, path) in [(1, "."), (2, "in"), (3, "out"), (4, "tmp/")] {
        script.stat_at(ROOT, path, 0, value(1));
        script.stat_at(ROOT, path, 8, value(ino));
        script.stat_at(ROOT, path, 16, value(3));
        script.stat_at(ROOT, path, 24, value(1));
        script.stat_at(ROOT, path, 32, value(0));
    }
    let run = script.run();
    let expected = [(".", 1), ("..", 1), ("in", 2), ("out", 3), ("tmp", 4)];
    assert_eq!(entries(&run.written.stderr), expected.map(|(name, ino)| (name.to_owned(), ino, 3)));
}

#[test]
fn input_files_are_there_in_the_order_of_the_tree() {
    let (task, contents) = with_files(&[("b.txt", b"bee"), ("a/z", b""), ("a/b/c", b"deep"), ("a-b", b"-")]);
    let mut script = Script::default();
    // a-b comes before a/… in the tree, so its inode does; listings are by name.
    for (ino, path) in [(5, "in/a-b"), (6, "in/a"), (7, "in/a/b"), (8, "in/a/b/c"), (9, "in/a/z"), (10, "in/b.txt")] {
        script.stat_at(ROOT, path, 8, value(ino));
    }
    script.stat_at(ROOT, "in/b.txt", 16, value(4));
    script.stat("in/b.txt", value(3));
    for time in [40, 48, 56] {
        script.stat_at(ROOT, "in/b.txt", time, value(1_700_000_000_000_000_000));
    }
    script.open("in/a/b/c", 0, READ, value(4));
    script.read(4, 100, value(4));
    script.read(4, 100, value(0));
    script.pread(4, 2, 100, value(2));
    script.pread(4, 5, 100, value(0));
    script.pread(4, u64::MAX, 100, value(0));
    script.mkdir("out/new", FINE);
    script.stat_at(ROOT, "out/new", 8, value(11));
    assert_eq!(script.run_with(task.clone(), contents.clone()).written.stderr, b"deepep");

    let mut script = Script::default();
    script.open("in", DIRECTORY, READ, value(4));
    script.readdir(4, 4096, 0, FINE);
    let run = script.run_with(task, contents);
    assert_eq!(names(&run.written.stderr), [".", "..", "a", "a-b", "b.txt"]);
}

#[test]
fn a_named_input_hides_what_the_tree_has_there() {
    let (tree, contents) =
        with_files(&[("data", b"hidden"), ("dir/a", b"hidden"), ("dir/b/c", b"hidden"), ("e", b"e")]);
    for (name, listed) in
        [("data", vec!["data", "dir", "e"]), ("dir", vec!["data", "dir", "e"]), ("f", vec!["data", "dir", "e", "f"])]
    {
        let task = Task { input_name: name.into(), stdin: b"the input".to_vec().into(), ..tree.clone() };
        let mut script = Script::default();
        script.open(&format!("in/{name}"), 0, READ, value(4));
        script.read(4, 100, value(9));
        script.read(0, 3, value(3));
        script.read(0, 100, value(6));
        script.pread(4, 4, 5, value(5));
        let run = script.run_with(task.clone(), contents.clone());
        assert_eq!(run.written.stderr, b"the inputthe inputinput", "{name}");
        let mut script = Script::default();
        script.open("in", 0, 0, value(4));
        script.readdir(4, 4096, 0, FINE);
        let run = script.run_with(task, contents.clone());
        assert_eq!(names(&run.written.stderr)[2..], listed);
    }
}

#[test]
fn nothing_can_be_written_under_in_or_in_the_root() {
    let (task, contents) = with_files(&[("a", b"bytes"), ("d/e", b"")]);
    let mut script = Script::default();
    for new in ["new", "in/new", "in/d/new"] {
        script.open(new, CREATE, BOTH, ROFS);
        script.mkdir(new, ROFS);
        script.rename("tmp", new, ROFS);
        script.rename("tmp/x", new, ROFS);
    }
    script.open("out/mine", CREATE, WRITE, value(4));
    for file in ["in/a", "in/d/e"] {
        script.open(file, 0, WRITE, ROFS);
        script.open(file, TRUNCATE, READ, ROFS);
        script.open(file, CREATE | EXCLUSIVE, READ, EXIST);
        script.unlink(file, ROFS);
        script.rename(file, "out/x", ROFS);
        script.rename("out/mine", file, ROFS);
    }
    for folder in ["in", "out", "tmp", "in/d"] {
        script.rmdir(folder, ROFS);
        script.mkdir(folder, EXIST);
        script.rename(folder, "tmp/x", ROFS);
        script.unlink(folder, ROFS);
    }
    // An input may be opened for creating what is there already, as long as nothing is to be written.
    script.open("in/a", CREATE, READ, value(5));
    script.write(5, "x", BADF);
    script.set_size(5, 0, INVAL);
    script.call("$allocate (i32.const 5) (i64.const 0) (i64.const 9)", 32, INVAL);
    script.call("$times (i32.const 5) (i64.const 0) (i64.const 0) (i32.const 5)", 32, ROFS);
    script.read(5, 10, value(5));
    let run = script.run_with(task, contents);
    assert_eq!(run.written.stderr, b"bytes");
    assert_eq!(run.written.files, collected(&[("mine", b"")]));
}

#[test]
fn paths_lead_where_they_say_and_never_out() {
    let long = "x".repeat(256);
    let longest = "x".repeat(255);
    let deep = "a/".repeat(2049);
    let up = format!("out/{}", "../".repeat(30));
    let mut script = Script::default();
    script.mkdir("out/a", FINE);
    script.mkdir("out/a/b/", FINE);
    script.open("out/a/f", CREATE, BOTH, value(4));
    let there = [
        ".",
        "./",
        "out/.",
        "out/./a",
        "out//a",
        "out/a/",
        "out/a/b/..",
        "out/a/b/../f",
        "./././out/a/f",
        "out/../out/a",
        "in/../out/a/b/../../a/f",
        "out/a/../..",
    ];
    let answers: [(&str, Answer); 21] = [
        ("", NOENT),
        ("/", PERM),
        ("/out", PERM),
        ("..", PERM),
        ("../", PERM),
        ("out/../..", PERM),
        ("out/../../out", PERM),
        (&up, PERM),
        ("nothing", NOENT),
        ("nothing/..", NOENT),
        ("out/a/f/", NOTDIR),
        ("out/a/f/.", NOTDIR),
        ("out/a/f/..", NOTDIR),
        ("out/a/f/x", NOTDIR),
        ("out/a/g/x", NOENT),
        (&long, NAMETOOLONG),
        (&longest, NOENT),
        ("out/a\\b", NOENT),
        ("out/a\0b", NOENT),
        (&deep, NAMETOOLONG),
        ("in/x/../../..", NOENT),
    ];
    for path in there {
        script.stat(path, FINE);
    }
    for (path, answer) in answers {
        script.stat(path, answer);
        script.open(path, 0, READ, answer);
    }
    script.stat(b"out/\xff", ILSEQ);
    script.stat(b"\xc3", ILSEQ);
    // From another directory, which is then the outermost.
    script.open("out/a", DIRECTORY, READ, value(5));
    script.stat_at(5, "f", 16, value(4));
    script.stat_at(5, "b/../f", 16, value(4));
    script.stat_at(5, "..", 16, PERM);
    script.stat_at(5, "b/../..", 16, PERM);
    script.stat_at(4, "f", 16, NOTDIR);
    script.stat_at(0, "f", 16, NOTDIR);
    script.stat_at(99, "f", 16, BADF);
    script.run();
}

#[test]
fn names_that_not_every_system_has_cannot_be_made() {
    let long = format!("out/{}", "x".repeat(256));
    let mut script = Script::default();
    for (path, answer) in
        [("out/a\\b", INVAL), ("out/a\nb", INVAL), ("out/\0", INVAL), ("out/\u{7f}", INVAL), (&long, NAMETOOLONG)]
    {
        script.mkdir(path, answer);
        script.open(path, CREATE, WRITE, answer);
    }
    script.mkdir("out/here", FINE);
    script.rename("out/here", "out/a\\b", INVAL);
    script.rename("out/here", &long, NAMETOOLONG);
    script.mkdir("out/ä ö 🦀", FINE);
    // Directory by directory, a path comes to its full length and no further.
    script.open("tmp", DIRECTORY, 0, value(4));
    let name = "y".repeat(255);
    for depth in 0..8 {
        let text = script.text(&name);
        // Eight names with the slashes between them are 2,047 bytes.
        script.call(&format!("$mkdir (i32.const {}) {text}", 4 + depth), 32, FINE);
        script.open_at(4 + depth, &name, DIRECTORY, 0, 0, value(u64::from(depth) + 5));
    }
    let one = script.text("z");
    script.call(&format!("$mkdir (i32.const 12) {one}"), 32, NAMETOOLONG);
    // And a directory with long paths in it cannot be moved further down.
    script.mkdir("tmp/d", FINE);
    script.rename(&format!("tmp/{name}"), "tmp/d/e", FINE);
    script.rename("tmp/d/e", &format!("tmp/{name}"), FINE);
    script.rename(&format!("tmp/{name}"), &format!("tmp/d/{name}"), NAMETOOLONG);
    script.rename(&format!("tmp/{name}/{name}"), &format!("tmp/d/{name}"), FINE);
    script.run();
}

#[test]
fn opening_does_what_its_flags_say() {
    let mut script = Script::default();
    script.open("out/f", 0, BOTH, NOENT);
    script.open("out/f", CREATE, WRITE, value(4));
    script.write(4, "12345", value(5));
    script.open("out/f", CREATE | EXCLUSIVE, WRITE, EXIST);
    script.open("out/f", CREATE, READ, value(5));
    script.read(5, 3, value(3));
    script.write(5, "x", BADF);
    script.read(4, 3, BADF);
    script.open("out/f", DIRECTORY, READ, NOTDIR);
    script.open("out/f/", CREATE, READ, NOTDIR);
    script.open("out/g/", CREATE, READ, ISDIR);
    script.open("out/.", CREATE, READ, ISDIR);
    script.open("out", CREATE, READ, ISDIR);
    script.open("out", 0, WRITE, ISDIR);
    script.open("out", TRUNCATE, READ, ISDIR);
    script.open("out", CREATE | EXCLUSIVE, READ, EXIST);
    script.open("out", DIRECTORY | CREATE, READ, INVAL);
    script.open("out", 16, READ, INVAL);
    script.open_at(ROOT, "out", 0, READ, 32, INVAL);
    script.open("out/f", TRUNCATE, WRITE, value(6));
    script.stat("out/f", value(0));
    script.read(5, 3, value(0));
    // No right at all: good enough to ask about it.
    script.open("out/f", 0, 0, value(7));
    script.read(7, 1, BADF);
    script.write(7, "x", BADF);
    script.call("$filestat (i32.const 7) (i32.const 64)", 80, value(4));
    script.open("out", 0, READ, value(8));
    script.read(8, 1, ISDIR);
    script.pread(8, 0, 1, ISDIR);
    script.write(8, "x", BADF);
    script.pwrite(8, 0, "x", BADF);
    script.set_size(8, 0, INVAL);
    script.seek(8, 0, 0, BADF);
    script.call("$tell (i32.const 8) (i32.const 32)", 32, BADF);
    script.call("$sync (i32.const 8)", 32, FINE);
    assert_eq!(script.run().written.stderr, b"123");
}

#[test]
fn reading_and_writing_move_the_position_and_seeking_sets_it() {
    let mut script = Script::default();
    script.open("out/f", CREATE, BOTH, value(4));
    script.write(4, "hello", value(5));
    script.write(4, "", value(0));
    script.call("$tell (i32.const 4) (i32.const 32)", 32, value(5));
    script.seek(4, 1, 0, value(1));
    script.seek(4, 1, 1, value(2));
    script.seek(4, -1, 2, value(4));
    script.seek(4, -5, 1, INVAL);
    script.seek(4, -6, 2, INVAL);
    script.seek(4, -1, 0, INVAL);
    script.seek(4, i64::MAX, 1, INVAL);
    script.seek(4, 0, 3, INVAL);
    script.read(4, 10, value(1));
    // Beyond the end: nothing to read, and zeros between once something is written.
    script.seek(4, 8, 0, value(8));
    script.read(4, 10, value(0));
    script.stat("out/f", value(5));
    script.write(4, "!", value(1));
    script.pwrite(4, 2, "LL", value(2));
    script.call("$tell (i32.const 4) (i32.const 32)", 32, value(9));
    script.pread(4, 0, 100, value(9));
    script.pwrite(4, 1 << 63, "x", FBIG);
    script.seek(4, i64::MAX, 0, value(i64::MAX as u64));
    script.write(4, "xy", FBIG);
    let run = script.run();
    assert_eq!(run.written.stderr, b"oheLLo\0\0\0!");
    assert_eq!(run.written.files, collected(&[("f", b"heLLo\0\0\0!")]));
}

#[test]
fn appending_goes_to_the_end_whatever_the_position_is() {
    let mut script = Script::default();
    script.open_at(ROOT, "out/f", CREATE, BOTH, APPEND, value(4));
    script.open("out/f", 0, BOTH, value(5));
    script.write(4, "one ", value(4));
    script.seek(5, 0, 2, value(4));
    script.write(5, "two ", value(4));
    script.seek(4, 0, 0, value(0));
    script.write(4, "three", value(5));
    script.call("$tell (i32.const 4) (i32.const 32)", 32, value(13));
    script.call("$flags (i32.const 4) (i32.const 0)", 32, FINE);
    script.seek(4, 0, 0, value(0));
    script.write(4, "ONE", value(3));
    script.call("$flags (i32.const 5) (i32.const 1)", 32, FINE);
    script.write(5, ".", value(1));
    script.call("$flags (i32.const 5) (i32.const 32)", 32, INVAL);
    assert_eq!(script.run().written.files, collected(&[("f", b"ONE two three.")]));
}

#[test]
fn files_are_cut_off_and_extended_with_zeros() {
    let mut script = Script::default();
    script.open("out/f", CREATE, BOTH, value(4));
    script.write(4, "hello world", value(11));
    script.set_size(4, 5, FINE);
    script.set_size(4, 8, FINE);
    script.pread(4, 0, 100, value(8));
    script.call("$allocate (i32.const 4) (i64.const 2) (i64.const 3)", 32, FINE);
    script.stat("out/f", value(8));
    script.call("$allocate (i32.const 4) (i64.const 6) (i64.const 4)", 32, FINE);
    script.stat("out/f", value(10));
    script.call("$allocate (i32.const 4) (i64.const 6) (i64.const 0)", 32, INVAL);
    script.call("$allocate (i32.const 4) (i64.const -1) (i64.const 1)", 32, INVAL);
    script.call("$allocate (i32.const 4) (i64.const 0x7fffffffffffffff) (i64.const 1)", 32, FBIG);
    script.set_size(4, u64::MAX, FBIG);
    script.call("$allocate (i32.const 1) (i64.const 0) (i64.const 1)", 32, SPIPE);
    script.set_size(1, 0, INVAL);
    let run = script.run();
    assert_eq!(run.written.stderr, b"hello\0\0\0");
    assert_eq!(run.written.files, collected(&[("f", b"hello\0\0\0\0\0")]));
}

#[test]
fn a_removed_file_stays_for_whoever_has_it_open() {
    let mut script = Script::default();
    script.open("tmp/f", CREATE, BOTH, value(4));
    script.write(4, "still here", value(10));
    script.unlink("tmp/f", FINE);
    script.unlink("tmp/f", NOENT);
    script.stat("tmp/f", NOENT);
    script.pread(4, 0, 100, value(10));
    script.call("$filestat (i32.const 4) (i32.const 64)", 96, value(10));
    script.open("tmp/f", CREATE | EXCLUSIVE, BOTH, value(5));
    script.write(5, "another", value(7));
    script.rename("tmp/f", "tmp/g", FINE);
    script.pread(5, 0, 100, value(7));
    script.close(4, FINE);
    // A directory that is removed while open stays empty for ever.
    script.mkdir("tmp/d", FINE);
    script.open("tmp/d", DIRECTORY, READ, value(4));
    script.rmdir("tmp/d", FINE);
    script.open_at(4, "x", CREATE, WRITE, 0, NOENT);
    script.open_at(4, "x", 0, READ, 0, NOENT);
    script.stat_at(4, ".", 16, value(3));
    script.stat_at(4, "..", 16, PERM);
    assert_eq!(script.run().written.stderr, b"still hereanother");
}

#[test]
fn directories_are_made_and_removed_when_empty() {
    let mut script = Script::default();
    script.mkdir("out/a/b", NOENT);
    script.mkdir("out/a", FINE);
    script.mkdir("out/a", EXIST);
    script.mkdir("out/a/", EXIST);
    script.mkdir("out/a/.", EXIST);
    script.mkdir("out/a/..", EXIST);
    script.mkdir("out/a/b/", FINE);
    script.open("out/a/f", CREATE, WRITE, value(4));
    script.mkdir("out/a/f", EXIST);
    script.mkdir("out/a/f/g", NOTDIR);
    script.rmdir("out/a", NOTEMPTY);
    script.rmdir("out/a/f", NOTDIR);
    script.rmdir("out/a/.", INVAL);
    script.rmdir("out/a/b/..", INVAL);
    script.rmdir("out/a/b/", FINE);
    script.rmdir("out/a/b", NOENT);
    script.unlink("out/a", ISDIR);
    script.unlink("out/a/", ISDIR);
    script.unlink("out/a/.", ISDIR);
    script.unlink("out/a/f/", NOTDIR);
    script.unlink("out/a/f", FINE);
    script.rmdir("out/a", FINE);
    script.run();
}

#[test]
fn renaming_replaces_what_is_alike_and_nothing_else() {
    let mut script = Script::default();
    for folder in ["out/d", "out/d/e", "out/empty", "out/full", "out/full/x"] {
        script.mkdir(folder, FINE);
    }
    for file in ["out/f", "out/g", "out/d/e/h"] {
        script.open(file, CREATE, WRITE, value(4));
        script.write(4, file, value(file.len() as u64));
        script.close(4, FINE);
    }
    let answers = [
        ("out/none", "out/x", NOENT),
        ("out/f", "out/none/x", NOENT),
        ("out/f", "out/g/x", NOTDIR),
        ("out/f", "out/d", ISDIR),
        ("out/f", "out/d/", NOTDIR),
        ("out/f", "out/x/", NOTDIR),
        ("out/f/", "out/x", NOTDIR),
        ("out/d", "out/f", NOTDIR),
        ("out/d", "out/full", NOTEMPTY),
        ("out/d", "out/d/e/x", INVAL),
        ("out/d", "out/d/x", INVAL),
        ("out/d/e", "out/d", NOTEMPTY),
        ("out/d/.", "out/x", INVAL),
        ("out/d", "out/x/..", NOENT),
        ("out/d", "out/full/..", INVAL),
        ("out/f", "out/f", FINE),
        ("out/d", "out/d/", FINE),
        ("out/f", "out/g", FINE),
        ("out/f", "out/g", NOENT),
        ("out/d", "out/empty", FINE),
        ("out/empty/e", "tmp/moved/", FINE),
        ("tmp/moved", "out/full/x", FINE),
        ("out/g", "out/full/x/from-tmp", FINE),
    ];
    for (from, to, answer) in answers {
        script.rename(from, to, answer);
    }
    script.open("out/full/x", DIRECTORY, READ, value(4));
    script.stat_at(4, "h", 32, value(9));
    let files = script.run().written.files;
    assert_eq!(files, collected(&[("full/x/from-tmp", b"out/f"), ("full/x/h", b"out/d/e/h")]));
}

#[test]
fn a_listing_goes_on_where_it_was_while_the_directory_changes() {
    let mut script = Script::default();
    script.open("tmp", DIRECTORY, READ, value(4));
    let files: Vec<String> = (0..20).map(|number| format!("file-{number:02}")).collect();
    for name in &files {
        script.open_at(4, name, CREATE, WRITE, 0, value(5));
        script.close(5, FINE);
    }
    // Entries of 25, 26 and then 31 bytes each: two files at first, then three, and a piece of one that is asked for
    // again. As soon as a file was listed it is removed or renamed, and others come.
    let cookies = [0, 4, 7, 10, 13, 16, 19];
    for (round, cookie) in cookies.into_iter().enumerate() {
        script.readdir(4, 120, cookie, value(if cookie == 19 { 93 } else { 120 }));
        let first = (cookie as usize).saturating_sub(2);
        for (number, name) in files.iter().enumerate().skip(first).take(if cookie == 0 { 2 } else { 3 }) {
            match number % 2 {
                0 => script.unlink(&format!("tmp/{name}"), FINE),
                _ => script.rename(&format!("tmp/{name}"), &format!("tmp/new-{name}"), FINE),
            }
        }
        script.mkdir(&format!("tmp/another-{round}"), FINE);
    }
    let pages = script.run().written.stderr;
    let listed: Vec<String> = pages.chunks(120).flat_map(names).collect();
    assert_eq!(listed[..2], [".", ".."]);
    assert_eq!(listed[2..], files);
}

#[test]
fn a_listing_fills_the_buffer_to_the_last_byte() {
    let mut script = Script::default();
    script.mkdir("tmp/b", FINE);
    script.mkdir("tmp/a", FINE);
    script.open("tmp", DIRECTORY, READ, value(4));
    let whole = 25 + 26 + 25 + 25;
    for len in 0..=whole + 1 {
        script.readdir(4, len, 0, value(len.min(whole) as u64));
    }
    // Zero bytes, of which nothing can be told.
    script.readdir(4, 4096, 2, value(50));
    script.readdir(4, 4096, 4, value(0));
    script.readdir(4, 4096, u64::MAX, value(0));
    script.readdir(0, 10, 0, NOTDIR);
    script.readdir(9, 10, 0, BADF);
    let run = script.run();
    let tail = &run.written.stderr[run.written.stderr.len() - 50..];
    assert_eq!(names(tail), ["a", "b"]);
}

#[test]
fn descriptors_are_the_lowest_free_numbers() {
    let mut script = Script::default();
    for fd in 4..1024 {
        script.open("tmp", 0, 0, value(fd));
    }
    script.open("tmp", 0, 0, MFILE);
    script.open("tmp/f", CREATE, WRITE, MFILE);
    script.stat("tmp/f", NOENT);
    script.close(500, FINE);
    script.close(500, BADF);
    script.close(77, FINE);
    script.open("tmp/f", CREATE, WRITE, value(77));
    script.open("tmp", 0, 0, value(500));
    script.close(0, FINE);
    script.open("tmp/f", 0, READ, value(0));
    script.read(0, 1, value(0));
    script.write(77, "x", value(1));
    script.read(0, 1, value(1));
    script.call("$renumber (i32.const 77) (i32.const 5)", 32, FINE);
    script.write(77, "x", BADF);
    script.write(5, "y", value(1));
    script.call("$renumber (i32.const 77) (i32.const 5)", 32, BADF);
    script.call("$renumber (i32.const 5) (i32.const 77)", 32, BADF);
    script.call("$renumber (i32.const 5) (i32.const 5)", 32, FINE);
    script.call("$renumber (i32.const 5) (i32.const -1)", 32, BADF);
    script.read(0, 1, value(1));
    // Standard output, elsewhere: what is written to 2 comes out of it. And a file in its place.
    script.open("out/stderr", CREATE, WRITE, value(77));
    script.call("$renumber (i32.const 77) (i32.const 2)", 32, FINE);
    script.write(2, "into the file", value(13));
    script.close(3, FINE);
    script.stat("tmp", BADF);
    let run = script.run();
    assert_eq!(run.written.files, collected(&[("stderr", b"into the file")]));
    assert_eq!(run.written.stderr, b"xy");
}

#[test]
fn stat_of_a_descriptor_shows_what_can_be_done_with_it() {
    let mut script = Script::default();
    script.open_at(ROOT, "out/f", CREATE, WRITE, APPEND, value(4));
    script.open("out/f", 0, READ, value(5));
    script.open("out/f", 0, BOTH, value(6));
    let file = 0b1011_1101 | (1 << 21) | (1 << 23) | (1 << 27);
    let more = WRITE | (1 << 8) | (1 << 22);
    for (fd, kind, rights) in [(4, 4 | (1 << 16), file | more), (5, 4, file | READ), (6, 4, file | READ | more)] {
        script.call(&format!("$fdstat (i32.const {fd}) (i32.const 64)"), 64, value(kind));
        script.call(&format!("$fdstat (i32.const {fd}) (i32.const 64)"), 72, value(rights));
        script.call(&format!("$fdstat (i32.const {fd}) (i32.const 64)"), 80, value(0));
    }
    // C libraries open files with what a directory hands on.
    script.call("$fdstat (i32.const 3) (i32.const 64)", 64, value(3));
    let folder = 0b1_1001 | (0xfff << 9) | (1 << 21) | (1 << 23) | (0b111 << 24);
    script.call("$fdstat (i32.const 3) (i32.const 64)", 72, value(folder));
    script.call("$fdstat (i32.const 3) (i32.const 64)", 80, value(folder | file | READ | more));
    script.call("$rights (i32.const 4) (i64.const 0) (i64.const 0)", 32, NOTSUP);
    script.call("$rights (i32.const 9) (i64.const 0) (i64.const 0)", 32, BADF);
    script.run();
}

#[test]
fn what_has_no_effect_says_that_all_is_well() {
    let mut script = Script::default();
    script.open("out/f", CREATE, BOTH, value(4));
    script.mkdir("out/d", FINE);
    script.open("out/d", 0, READ, value(5));
    for fd in [4, 5] {
        script.call(&format!("$sync (i32.const {fd})"), 32, FINE);
        script.call(&format!("$datasync (i32.const {fd})"), 32, FINE);
        for (which, answer) in [(0, FINE), (5, FINE), (10, FINE), (15, INVAL), (3, INVAL), (12, INVAL), (16, INVAL)] {
            script.call(
                &format!("$times (i32.const {fd}) (i64.const 1) (i64.const 1) (i32.const {which})"),
                32,
                answer,
            );
        }
    }
    let (file, input, none) = (script.text("out/f"), script.text("in"), script.text("out/x"));
    for (path, answer) in [(file, FINE), (input, ROFS), (none, NOENT)] {
        let call = format!("$path_times (i32.const 3) (i32.const 0) {path} (i64.const 1) (i64.const 1) (i32.const 1)");
        script.call(&call, 32, answer);
    }
    script.stat_at(ROOT, "out/f", 48, value(1_700_000_000_000_000_000));
    script.call("$advise (i32.const 4) (i64.const 0) (i64.const 0) (i32.const 5)", 32, FINE);
    script.call("$advise (i32.const 4) (i64.const 0) (i64.const 0) (i32.const 6)", 32, INVAL);
    script.call("$advise (i32.const 5) (i64.const 0) (i64.const 0) (i32.const 0)", 32, BADF);
    script.call("$advise (i32.const 1) (i64.const 0) (i64.const 0) (i32.const 0)", 32, SPIPE);
    script.call("$sync (i32.const 1)", 32, INVAL);
    script.call("$times (i32.const 1) (i64.const 0) (i64.const 0) (i32.const 0)", 32, NOTSUP);
    script.run();
}

#[test]
fn links_do_not_exist() {
    let mut script = Script::default();
    script.open("out/f", CREATE, BOTH, value(4));
    let (old, new, none) = (script.text("out/f"), script.text("out/g"), script.text("out/none"));
    script.call(&format!("$link (i32.const 3) (i32.const 0) {old} (i32.const 3) {new}"), 32, NOTSUP);
    script.call(&format!("$symlink {old} (i32.const 3) {new}"), 32, NOTSUP);
    script.call(&format!("$symlink {old} (i32.const 9) {new}"), 32, BADF);
    script.call(&format!("$readlink (i32.const 3) {old} (i32.const 64) (i32.const 8) (i32.const 32)"), 32, INVAL);
    script.call(&format!("$readlink (i32.const 3) {none} (i32.const 64) (i32.const 8) (i32.const 32)"), 32, NOENT);
    script.run();
}

#[test]
fn files_are_always_ready() {
    let mut script = Script::default();
    script.open("out/f", CREATE, BOTH, value(4));
    script.write(4, "12345", value(5));
    script.seek(4, 2, 0, value(2));
    script.open("out/f", 0, WRITE, value(5));
    // One subscription at the buffer: kind at 8, descriptor at 16. The event follows: errno at 8, bytes at 16.
    let event = BUFFER + 64;
    for (fd, kind, ready) in [(4, 1, 3), (4, 2, 0), (5, 2, 0)] {
        script.raw(&format!("(i64.store (i32.const {}) (i64.const {kind}))", BUFFER + 8));
        script.raw(&format!("(i32.store (i32.const {}) (i32.const {fd}))", BUFFER + 16));
        let poll = format!("$poll (i32.const {BUFFER}) (i32.const {event}) (i32.const 1) (i32.const 32)");
        script.call(&poll, 32, value(1));
        script.call(&poll, event + 8, value(kind << 16));
        script.call(&poll, event + 16, value(ready));
    }
    for (fd, kind) in [(5, 1), (3, 1), (3, 2), (9, 1)] {
        script.raw(&format!("(i64.store (i32.const {}) (i64.const {kind}))", BUFFER + 8));
        script.raw(&format!("(i32.store (i32.const {}) (i32.const {fd}))", BUFFER + 16));
        let poll = format!("$poll (i32.const {BUFFER}) (i32.const {event}) (i32.const 1) (i32.const 32)");
        script.call(&poll, event + 8, value((kind << 16) | 8));
    }
    script.run();
}

#[test]
fn pointers_beyond_the_memory_change_nothing() {
    const END: usize = 64 * 65536;
    let mut script = Script::default();
    script.open("tmp/f", CREATE, BOTH, value(4));
    let path = script.text("tmp/g");
    let open =
        format!("$open (i32.const 3) (i32.const 0) {path} (i32.const 1) (i64.const -1) (i64.const -1) (i32.const 0)");
    script.call(&format!("{open} (i32.const {})", END - 3), 32, FAULT);
    script.stat("tmp/g", NOENT);
    for call in ["mkdir", "rmdir", "unlink"] {
        script.call(&format!("${call} (i32.const 3) (i32.const -1) (i32.const 5)"), 32, FAULT);
        script.call(&format!("${call} (i32.const 3) (i32.const {}) (i32.const 5)", END - 4), 32, FAULT);
        script.call(&format!("${call} (i32.const 3) (i32.const 0) (i32.const -1)"), 32, NAMETOOLONG);
    }
    let calls = [
        format!("$rename (i32.const 3) {path} (i32.const 3) (i32.const -1) (i32.const 1)"),
        format!("$stat (i32.const 3) (i32.const 0) {path} (i32.const {})", END - 63),
        format!("$filestat (i32.const 4) (i32.const {})", END - 63),
        format!("$fdstat (i32.const 4) (i32.const {})", END - 23),
        format!("$seek (i32.const 4) (i64.const 5) (i32.const 0) (i32.const {})", END - 7),
        format!("$tell (i32.const 4) (i32.const {})", END - 7),
        format!("$readdir (i32.const 3) (i32.const {}) (i32.const 2) (i64.const 0) (i32.const 32)", END - 1),
        format!("$readdir (i32.const 3) (i32.const 0) (i32.const 2) (i64.const 0) (i32.const {})", END - 3),
        "$pwrite (i32.const 4) (i32.const -1) (i32.const 1) (i64.const 0) (i32.const 32)".to_owned(),
        format!("$write (i32.const 4) (i32.const 0) (i32.const 1) (i32.const {})", END - 3),
        format!("$prestat (i32.const 3) (i32.const {})", END - 7),
        format!("$prestat_name (i32.const 3) (i32.const {END}) (i32.const 1)"),
    ];
    for call in calls {
        script.call(&call, 32, FAULT);
    }
    script.call("$tell (i32.const 4) (i32.const 32)", 32, value(0));
    script.stat("tmp/f", value(0));
    script.run();
}

#[test]
fn what_is_left_under_out_is_collected_by_path() {
    let mut script = Script::default();
    for folder in ["out/a", "out/a/b", "out/empty", "tmp/a"] {
        script.mkdir(folder, FINE);
    }
    for file in ["out/a/b/c", "out/a-b", "out/z", "tmp/a/t", "out/a/ü"] {
        script.open(file, CREATE, WRITE, value(4));
        script.write(4, file, value(file.len() as u64));
        script.close(4, FINE);
    }
    script.open("out/gone", CREATE, WRITE, value(4));
    script.unlink("out/gone", FINE);
    script.write(4, "nobody sees this", FINE);
    let run = script.run();
    let files =
        collected(&[("a-b", b"out/a-b"), ("a/b/c", b"out/a/b/c"), ("a/ü", "out/a/ü".as_bytes()), ("z", b"out/z")]);
    assert_eq!(run.written.files, files);
    let list = run.written.tree().expect("a tree").to_text();
    assert_eq!(run.outcome.files, pocketmesh_types::Output::of(list.as_bytes()));
    assert_eq!(run.outcome.files_bytes, "out/a-bout/a/b/cout/a/üout/z".len() as u64);
}

#[test]
fn contents_of_another_tree_are_refused() {
    let (task, _) = with_files(&[("a", b"bytes")]);
    let (_, longer) = with_files(&[("a", b"longer than that")]);
    let wasm = Script::default().wasm();
    for contents in [Contents::default(), longer] {
        let program = crate::rig::load(&crate::rig::ENGINE, &wasm);
        let result = crate::rig::ENGINE.run(&program, task.clone(), contents);
        assert!(matches!(&result, Err(pocketmesh_sandbox::Failure::Host(_))), "{result:?}");
    }
}

#[test]
fn nothing_of_one_task_is_left_for_the_next() {
    let mut script = Script::default();
    script.open("out/f", CREATE | EXCLUSIVE, WRITE, value(4));
    script.mkdir("tmp/d", FINE);
    assert_eq!(script.run_with(task(), Contents::default()), script.run());
}

//! The shipped programs: built from the source that is here, and right.

use crate::rig::{guest, outcome, task, with_args};
use pocketmesh_sandbox::Task;
use pocketmesh_types::Exit;
use sha2::{Digest as _, Sha256, Sha512};

#[path = "../../../guests/src/mandelbrot.rs"]
mod mandelbrot;
#[path = "../../../guests/src/primes.rs"]
mod primes;
#[path = "../../../guests/src/text.rs"]
mod text;
#[path = "../../../guests/src/words.rs"]
mod words;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a guest writes when all goes well.
fn stdout(name: &str, task: Task) -> Vec<u8> {
    let run = outcome(&guest(name), task);
    assert_eq!(run.outcome.exit, Exit::Code(0), "{name}: {}", String::from_utf8_lossy(&run.written.stderr));
    run.written.stdout
}

fn native_tile(size: u32, first: u32, rows: u32) -> Vec<u8> {
    mandelbrot::rows(size, first, rows).into_iter().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn the_committed_programs_are_those_of_the_manifest() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/wasm/SHA256SUMS");
    let manifest = std::fs::read_to_string(manifest).expect("the manifest");
    for line in manifest.lines() {
        let (hash, file) = line.split_once("  ").expect("a hash and a name");
        assert_eq!(
            hex(&Sha256::digest(guest(file.trim_end_matches(".wasm")))),
            hash,
            "{file}: run crates/guests/build.sh"
        );
    }
    assert_eq!(manifest.lines().count(), 7);
}

#[test]
fn tiles_are_those_of_a_native_build() {
    for (index, size, rows) in [(0, 3200, 16), (5, 100, 10), (3, 65, 7), (0, 1, 1)] {
        let args = [index, size, rows].map(|number| number.to_string());
        let tile = stdout("mandelbrot", with_args(&args.each_ref().map(String::as_str)));
        assert_eq!(tile, native_tile(size, index * rows, rows), "{args:?}");
    }
    assert_eq!(stdout("mandelbrot", with_args(&["1"])), native_tile(3200, 16, 16));
}

#[test]
fn primes_are_counted_as_natively() {
    for (index, base, span) in [(0, 0, 100), (1, 0, 1000), (7, 20_000_000, 500), (0, 4_294_967_000, 295)] {
        let args = [index, base, span].map(|number: u32| number.to_string());
        let low = base + index * span;
        let count = stdout("primes", with_args(&args.each_ref().map(String::as_str)));
        assert_eq!(count, primes::count(low, low + span).to_le_bytes(), "{args:?}");
    }
    assert_eq!(stdout("primes", with_args(&["0", "0", "100", "--text"])), b"25\n");
}

#[test]
fn words_of_parts_add_up_to_the_words_of_the_whole() {
    let parts: Vec<Vec<u8>> =
        (0..3).map(|index| stdout("textgen", with_args(&[&index.to_string(), "20000"]))).collect();
    assert_eq!(parts[1], text::generate(1, 20000).into_bytes());
    let listings = parts.iter().map(|part| stdout("wordcount", Task { stdin: part.clone().into(), ..task() }));
    let listings: Vec<u8> = listings.flatten().collect();
    assert_eq!(
        words::merge(&listings).map(|counts| words::list(&counts)),
        Ok(words::list(&words::count(&parts.concat())))
    );
    let merged = stdout("wordmerge", Task { stdin: listings.into(), ..task() });
    assert_eq!(merged, words::list(&words::count(&parts.concat())));
}

#[test]
fn the_no_op_does_next_to_nothing() {
    let run = outcome(&guest("noop"), Task { stdin: [[0b1100; 32], [0b1010; 32]].concat().into(), ..task() });
    assert_eq!((run.outcome.exit, run.written.stdout), (Exit::Code(0), vec![0b0110; 32]));
    assert!(run.outcome.fuel.0 < 100_000, "{:?}", run.outcome.fuel);
}

#[test]
fn bad_arguments_are_a_usage_message_and_code_2() {
    let bad: [(&str, &[&str]); 8] = [
        ("mandelbrot", &[]),
        ("mandelbrot", &["200"]),
        ("mandelbrot", &["4294967295", "100", "16"]),
        ("primes", &["x"]),
        ("primes", &["1", "2", "3", "4"]),
        ("primes", &["1", "4294967295", "2"]),
        ("textgen", &["-1"]),
        ("wordcount", &["file"]),
    ];
    for (name, args) in bad {
        let run = outcome(&guest(name), with_args(args));
        assert_eq!(run.outcome.exit, Exit::Code(2), "{name} {args:?}");
        assert!(run.written.stderr.starts_with(b"usage: ") && run.written.stdout.is_empty(), "{name} {args:?}");
    }
}

#[test]
fn bad_input_is_an_error_and_code_1() {
    for (name, stdin) in [("noop", b"short".to_vec()), ("wordmerge", b"no listing\n".to_vec())] {
        let run = outcome(&guest(name), Task { stdin: stdin.into(), ..task() });
        assert_eq!(run.outcome.exit, Exit::Code(1), "{name}");
        assert!(run.written.stderr.starts_with(b"error: "), "{name}");
    }
}

/// The digests that the works have on every system they were timed on, 20 s of CPU:
/// `cargo test --release -p pocketmesh-sandbox --test sandbox -- --ignored`.
#[test]
#[ignore = "takes half a minute"]
fn the_works_have_their_known_digests() {
    let digest = |name: &str, tasks: u64, task_of: &dyn Fn(u64) -> Task| {
        let mut hasher = Sha256::new();
        (0..tasks).for_each(|index| hasher.update(stdout(name, task_of(index))));
        hex(&hasher.finalize())
    };
    let by_index = |index: u64| with_args(&[&index.to_string()]);
    let by_hash = |index: u64| Task { stdin: Sha512::digest(index.to_le_bytes()).to_vec().into(), ..task() };
    let works = [
        (digest("noop", 10_000, &by_hash), "6dd628f439a28d1c0e645b682838066bf6ae5f9026d8f0b0b9936635e4b14417"),
        (digest("primes", 200, &by_index), "78925c680895e7ff63ac86bab09e973f258e4cefec74bdb438a975dc50c4bc0b"),
        (digest("mandelbrot", 200, &by_index), "b1287151212ed3971750c4634424d68babbac4362a983d720221e41a8f3be78f"),
    ];
    for (computed, known) in works {
        assert_eq!(computed, known);
    }
}

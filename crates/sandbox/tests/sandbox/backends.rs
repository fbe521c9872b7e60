//! One profile, several ways to execute: the same outcome, fuel included.

use crate::rig::{ENGINE, PULLEY, command, engine, guest, load, task, with_args};
use pocketmesh_sandbox::{Config, Contents, Deadline, Executed, Task};
use pocketmesh_types::{Exit, Fuel};

/// A small task for each guest, and programs that end in every way there is.
fn works() -> Vec<(String, Vec<u8>, Task)> {
    let text = b"the quick brown fox, the lazy dog; the end\n".repeat(50);
    let listing = b"      2 fox\n     11 the\n".repeat(20);
    let mut works = vec![
        ("mandelbrot", with_args(&["3", "64", "8"])),
        ("primes", with_args(&["0", "20000000", "200"])),
        ("wordcount", Task { stdin: text.into(), ..task() }),
        ("wordmerge", Task { stdin: listing.into(), ..task() }),
        ("textgen", with_args(&["5", "3000"])),
        ("noop", Task { stdin: (0..64).collect::<Vec<u8>>().into(), ..task() }),
        ("noop", task()),
        ("primes", with_args(&["nonsense"])),
    ]
    .into_iter()
    .map(|(name, task)| (name.to_owned(), guest(name), task))
    .collect::<Vec<_>>();
    works.push(("files".into(), crate::files::busy().wasm(), task()));
    for body in ENDS {
        let mut task = task();
        task.limits.fuel = Fuel(1_000_000);
        works.push((body.into(), command(body), task));
    }
    works
}

const ENDS: [&str; 12] = [
    "unreachable",
    "(loop $more (br_if $more (i32.div_u (i32.const 100) (i32.sub (i32.const 50)
        (local.tee $i (i32.add (local.get $i) (i32.const 1)))))))",
    "(loop $more (drop (i32.load (i32.mul (i32.const 1000) (local.tee $i (i32.add (local.get $i) (i32.const 1))))))
        (br $more))",
    "(drop (i32.load (i32.const -1)))",
    "(memory.fill (i32.const 131000) (i32.const 0) (i32.const 100))",
    "(memory.fill (i32.const 0) (i32.const 1) (i32.const 100000)) (memory.copy (i32.const 9) (i32.const 0) (i32.const 90000))",
    "(call_indirect (i32.const 0))",
    "(call_indirect (i32.const 9))",
    "(drop (i32.trunc_f64_s (f64.const nan)))",
    "(drop (memory.grow (i32.const 10))) (drop (table.grow (ref.null func) (i32.const 3)))",
    "(loop $more (br $more))",
    // Every NaN that reaches memory is the canonical one, whatever went in.
    "(f32.store (i32.const 64) (f32.div (f32.const 0) (f32.const 0)))
     (f64.store (i32.const 72) (f64.sqrt (f64.const -1)))
     (f32.store (i32.const 80) (f32.min (f32.const nan:0x200001) (f32.const 1)))
     (f64.store (i32.const 88) (f64.promote_f32 (f32.const -nan:0x300000)))
     (f32.store (i32.const 96) (f32.demote_f64 (f64.const -nan:0x8000000000003)))
     (f64.store (i32.const 104) (f64.add (f64.const -nan:0x8000000000001) (f64.const nan:0x8000000000002)))
     (v128.store (i32.const 112) (f64x2.mul (v128.const i64x2 0xfff8000000000123 0x7ff8000000000456)
        (v128.const f64x2 1 1)))
     (v128.store (i32.const 128) (f32x4.sub (f32x4.splat (f32.const inf)) (f32x4.splat (f32.const inf))))
     (call $put (i32.const 1) (i32.const 64) (i32.const 80))",
];

fn all(engine: &pocketmesh_sandbox::Engine) -> Vec<Executed> {
    works()
        .into_iter()
        .map(|(_, wasm, task)| engine.run(&load(engine, &wasm), task, Contents::default()).expect("an outcome"))
        .collect()
}

#[test]
fn the_interpreter_comes_to_the_same_outcomes() {
    assert_eq!(ENGINE.profile(), PULLEY.profile());
    for ((work, compiled), interpreted) in works().iter().zip(all(&ENGINE)).zip(all(&PULLEY)) {
        assert_eq!(compiled, interpreted, "{}", work.0);
    }
}

#[test]
fn nothing_that_the_profile_leaves_open_shows_in_outcomes() {
    let expected = all(&ENGINE);
    let configs = [
        Config { pooling: false, ..Config::default() },
        Config { deadline: Deadline::Outside, ..Config::default() },
        Config { pooling: false, scarce_address_space: true, ..Config::default() },
    ];
    for config in configs {
        let engine = engine(&config);
        assert_eq!(engine.profile(), ENGINE.profile());
        assert_eq!(all(&engine), expected, "{config:?}");
    }
    assert_eq!(all(&ENGINE), expected, "and a second time");
}

#[test]
fn not_a_number_has_one_bit_pattern() {
    let last = *ENDS.last().expect("the one about NaN");
    let run = crate::rig::outcome(&command(last), task());
    let (narrow, wide) = (0x7fc0_0000u32.to_le_bytes().to_vec(), 0x7ff8_0000_0000_0000u64.to_le_bytes().to_vec());
    let at = |offset: usize, len: usize| run.written.stdout[offset..offset + len].to_vec();
    assert_eq!(run.outcome.exit, Exit::Code(0));
    for (offset, name) in [(0, "f32.div"), (16, "f32.min"), (32, "f32.demote")] {
        assert_eq!(at(offset, 4), narrow, "{name}");
    }
    for (offset, name) in [(8, "f64.sqrt"), (24, "f64.promote"), (40, "f64.add"), (48, "f64x2.mul"), (56, "f64x2.mul")]
    {
        assert_eq!(at(offset, 8), wide, "{name}");
    }
    assert_eq!(at(64, 16), narrow.repeat(4), "f32x4.sub");
}

//! Sums that have no result, and NaNs that would tell one machine from another.

use crate::animal::{Animal, DONE, TRAP, code};
use crate::text::{command, module};

pub fn animals() -> Vec<Animal> {
    let mut animals = traps();
    animals.extend(nans());
    animals
}

fn traps() -> Vec<Animal> {
    let traps =
        |name: &str, sum: &str| Animal::text(&format!("arithmetic/{name}"), command(&format!("(drop ({sum}))")), TRAP);
    vec![
        Animal::text("arithmetic/unreachable", command("unreachable"), TRAP),
        traps("division by zero", "i32.div_u (i32.const 1) (local.get $i)"),
        traps("64-bit remainder by zero", "i64.rem_s (i64.const 1) (local.get $n)"),
        traps(
            "the smallest number divided by -1",
            "i32.div_s (i32.const 0x80000000) (i32.sub (local.get $i) (i32.const 1))",
        ),
        traps(
            "the smallest 64-bit number divided by -1",
            "i64.div_s (i64.const 0x8000000000000000) (i64.sub (local.get $n) (i64.const 1))",
        ),
        traps("NaN made an integer", "i32.trunc_f32_s (f32.const nan)"),
        traps("infinity made an integer", "i64.trunc_f64_u (f64.const inf)"),
        traps("2^31 made an integer with a sign", "i32.trunc_f64_s (f64.const 2147483648)"),
        traps("-1 made an integer without a sign", "i64.trunc_f32_u (f32.const -1)"),
        traps("a load from the last address", "i64.load (i32.const -1)"),
        traps("a load beyond 2^32", "i32.load offset=0xffffffff (i32.const -1)"),
        traps("a vector across the end of memory", "v128.load (i32.const 65521)"),
        Animal::text(
            "arithmetic/a call of an empty entry",
            module(r#"(table 1 funcref) (func (export "_start") (call_indirect (i32.const 0)))"#),
            TRAP,
        ),
        Animal::text(
            "arithmetic/a call beyond the table",
            module(r#"(table 1 funcref) (func (export "_start") (call_indirect (i32.const -1)))"#),
            TRAP,
        ),
        Animal::text(
            "arithmetic/a call with another type",
            module(
                r#"(table funcref (elem $f)) (func $f (export "_start") (drop (call_indirect (result i32) (i32.const 0))))"#,
            ),
            TRAP,
        ),
    ]
}

/// Each exits with 0 if the bits are the canonical ones.
fn nans() -> Vec<Animal> {
    let same = |name: &str, bits: &str, expected: &str| {
        let body = format!("(call $proc_exit (i64.ne ({bits}) (i64.const {expected})))");
        Animal::text(&format!("arithmetic/{name}"), command(&body), DONE)
    };
    let payload = "(f64.const nan:0xdeadbeef)";
    vec![
        same(
            "a NaN with a payload, added",
            &format!("i64.reinterpret_f64 (f64.add {payload} (f64.const 1))"),
            "0x7ff8000000000000",
        ),
        same(
            "a negative NaN, multiplied",
            "i64.reinterpret_f64 (f64.mul (f64.const -nan:0x1) (f64.const 2))",
            "0x7ff8000000000000",
        ),
        same(
            "zero divided by zero",
            "i64.reinterpret_f64 (f64.div (f64.const 0) (f64.const -0))",
            "0x7ff8000000000000",
        ),
        same("a NaN made wider", "i64.reinterpret_f64 (f64.promote_f32 (f32.const -nan:0x123))", "0x7ff8000000000000"),
        same(
            "a NaN made narrower",
            &format!("i64.extend_i32_u (i32.reinterpret_f32 (f32.demote_f64 {payload}))"),
            "0x7fc00000",
        ),
        same(
            "a NaN of a vector",
            &format!("i64x2.extract_lane 1 (f64x2.min (f64x2.splat {payload}) (v128.const i64x2 0 0))"),
            "0x7ff8000000000000",
        ),
        same(
            "a NaN whose sign is flipped, which keeps its payload",
            &format!("i64.reinterpret_f64 (f64.neg {payload})"),
            "0xfff00000deadbeef",
        ),
        Animal::text(
            "arithmetic/NaN is not itself",
            command("(call $proc_exit (f64.eq (f64.const nan) (f64.const nan)))"),
            code(0),
        ),
    ]
}

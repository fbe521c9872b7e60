//! Valid modules of proposals that the profile has not: refused before anything of them runs.

use crate::animal::{Animal, DONE, INVALID};

pub fn animals() -> Vec<Animal> {
    off().into_iter().map(|(name, fields)| animal(name, fields, INVALID)).chain([on()]).collect()
}

fn animal(name: &str, fields: &str, end: crate::animal::End) -> Animal {
    Animal::text(&format!("features/{name}"), format!(r#"(module {fields} (func (export "_start")))"#), end)
}

/// Proposals that are off, each by the least that needs it.
fn off() -> Vec<(&'static str, &'static str)> {
    vec![
        ("threads: a shared memory", "(memory 1 1 shared)"),
        ("threads: an atomic addition", "(memory 1) (func (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1))))"),
        ("threads: a fence", "(func (atomic.fence))"),
        (
            "threads: waiting",
            "(memory 1) (func (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))",
        ),
        (
            "relaxed SIMD: a multiplication that may round twice",
            "(func (param v128) (result v128) (f32x4.relaxed_madd (local.get 0) (local.get 0) (local.get 0)))",
        ),
        (
            "relaxed SIMD: a shuffle with wild lanes",
            "(func (param v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))",
        ),
        ("garbage collection: a structure", "(type (struct (field i32)))"),
        (
            "garbage collection: an array of 2^32-1",
            "(type $a (array (mut i64))) (func (drop (array.new_default $a (i32.const -1))))",
        ),
        (
            "garbage collection: a recursive type",
            "(rec (type $a (func (result (ref $b)))) (type $b (func (result (ref $a)))))",
        ),
        ("garbage collection: a small integer", "(func (drop (ref.i31 (i32.const 1))))"),
        ("function references", "(type $f (func)) (func (param (ref $f)) (call_ref $f (local.get 0)))"),
        ("exceptions: a tag", "(tag (param i32))"),
        ("exceptions: a throw", "(tag $t) (func (throw $t))"),
        ("exceptions: a try_table", "(tag $t) (func (block $b (try_table (catch $t $b))))"),
        ("tail calls: an endless one", "(func $f (return_call $f))"),
        ("tail calls: by way of a table", "(table 1 funcref) (func (return_call_indirect (i32.const 0)))"),
        ("references to what the host has", "(table 1 externref)"),
        ("multiple memories", "(memory 1) (memory 1)"),
        ("64-bit memory", "(memory i64 1)"),
        ("64-bit table", "(table i64 1 funcref)"),
        ("pages of one byte", "(memory 1 (pagesize 1))"),
        ("wide arithmetic", "(func (param i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 0)))"),
    ]
}

/// Proposals that are on, all in one module.
fn on() -> Animal {
    animal(
        "what is on: bulk memory, multiple values, references, SIMD, sums in constants",
        r#"
        (memory 1) (data $d "x") (table $t 1 funcref)
        (global i32 (i32.add (i32.const 1) (i32.const 2)))
        (elem declare func $two) (func $two (result i32 i64) (i32.const 1) (i64.const 2))
        (func (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)) (data.drop $d) (table.set $t (i32.const 0) (ref.func $two))
            (drop (i64x2.splat (i64.const 1))) (drop (i32.extend8_s (i32.const 255))) (drop (i32.trunc_sat_f32_s (f32.const nan)))
            (call $two) (drop) (drop))"#,
        DONE,
    )
}

//! The profile `det-1`: everything that an outcome depends on besides the task, as one list that both configures the
//! engine and names the profile.
//!
//! Two peers whose profiles are equal get equal outcomes from equal tasks. The backend is no part of it: Cranelift and
//! Pulley share the front end that counts fuel and both follow the WebAssembly specification to the bit
//! (`tests/sandbox.rs` compares them). Neither are pooling, caches and deadlines.

use crate::engine::Config;
use crate::{limiter, wasi};
use pocketmesh_types::{Hash, Outcome, ProfileId, limits};
use wasmtime::{Enabled, InstanceAllocationStrategy, OperatorCost, PoolingAllocationConfig};

/// The engine's version. The fuel of an instruction and the rounding of nothing depend on it, but a fault repaired
/// between two versions can, so outcomes of different versions are never compared. A test holds it to `Cargo.lock`.
pub const ENGINE_VERSION: &str = "48.0.8";

/// Native stack for WebAssembly frames: deep enough for parsers and interpreters, and half of the smallest thread
/// stack that a [`Engine::run`](crate::Engine::run) may be called on.
pub(crate) const WASM_STACK_BYTES: usize = 1 << 20;

/// How WebAssembly is executed. Fuel and results are the same; speed is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Compiled to machine code.
    Cranelift,
    /// Interpreted, 10 to 35 times slower: where the system forbids or Cranelift lacks machine code.
    Pulley,
}

type Switch = fn(&mut wasmtime::Config, bool) -> &mut wasmtime::Config;

/// Every WebAssembly proposal that the engine can switch. On is what `wasm32-wasip1` compilers emit; off is what is
/// not deterministic (threads, relaxed SIMD), needs a collector (GC, exceptions), or that no WASI command needs yet.
const FEATURES: [(&str, Switch, bool); 17] = [
    ("bulk-memory", wasmtime::Config::wasm_bulk_memory, true),
    ("multi-value", wasmtime::Config::wasm_multi_value, true),
    ("reference-types", wasmtime::Config::wasm_reference_types, true),
    ("simd128", wasmtime::Config::wasm_simd, true),
    ("extended-const", wasmtime::Config::wasm_extended_const, true),
    ("relaxed-simd", wasmtime::Config::wasm_relaxed_simd, false),
    ("threads", wasmtime::Config::wasm_threads, false),
    ("shared-everything-threads", wasmtime::Config::wasm_shared_everything_threads, false),
    ("gc", wasmtime::Config::wasm_gc, false),
    ("gc-support", wasmtime::Config::gc_support, false),
    ("function-references", wasmtime::Config::wasm_function_references, false),
    ("exceptions", wasmtime::Config::wasm_exceptions, false),
    ("tail-call", wasmtime::Config::wasm_tail_call, false),
    ("multi-memory", wasmtime::Config::wasm_multi_memory, false),
    ("memory64", wasmtime::Config::wasm_memory64, false),
    ("custom-page-sizes", wasmtime::Config::wasm_custom_page_sizes, false),
    ("wide-arithmetic", wasmtime::Config::wasm_wide_arithmetic, false),
];

/// Fuel of an integer division or remainder: it takes 10 to 26 cycles where most instructions take one or less.
const DIVISION_FUEL: u8 = 8;
/// Fuel of a floating-point division or square root.
const FLOAT_DIVISION_FUEL: u8 = 4;
/// Fuel of growing a memory or table, granted or not: a call into the engine.
const GROW_FUEL: u8 = 100;
/// Fuel of a bulk instruction, besides 1 for each byte or element: a call into the engine too, whatever its length.
const BULK_FUEL: u8 = 50;
/// Fuel of each 64 KiB page that is asked for: the system has to clear it.
const GROW_PAGE_FUEL: u8 = 250;

/// The cost of each instruction: the engine's default (1, and 0 for what generates no code; 1 per byte or element of
/// bulk instructions) but for what is plainly dearer.
fn operator_cost() -> OperatorCost {
    let mut cost = OperatorCost {
        I32DivS: DIVISION_FUEL,
        I32DivU: DIVISION_FUEL,
        I32RemS: DIVISION_FUEL,
        I32RemU: DIVISION_FUEL,
        I64DivS: DIVISION_FUEL,
        I64DivU: DIVISION_FUEL,
        I64RemS: DIVISION_FUEL,
        I64RemU: DIVISION_FUEL,
        F32Div: FLOAT_DIVISION_FUEL,
        F64Div: FLOAT_DIVISION_FUEL,
        F32Sqrt: FLOAT_DIVISION_FUEL,
        F64Sqrt: FLOAT_DIVISION_FUEL,
        F32x4Div: FLOAT_DIVISION_FUEL,
        F64x2Div: FLOAT_DIVISION_FUEL,
        F32x4Sqrt: FLOAT_DIVISION_FUEL,
        F64x2Sqrt: FLOAT_DIVISION_FUEL,
        MemoryGrow: GROW_FUEL,
        TableGrow: GROW_FUEL,
        MemoryInit: BULK_FUEL,
        MemoryCopy: BULK_FUEL,
        MemoryFill: BULK_FUEL,
        TableInit: BULK_FUEL,
        TableCopy: BULK_FUEL,
        TableFill: BULK_FUEL,
        ..OperatorCost::default()
    };
    cost.variable.memory_grow_per_page = GROW_PAGE_FUEL;
    cost
}

/// The profile's name: the hash of [`description`].
pub(crate) fn id() -> ProfileId {
    ProfileId(Hash::of_parts("pocketmesh execution profile 1", &[description().as_bytes()]))
}

/// Every knob that an outcome depends on, one a line. Changing one changes the profile's name.
fn description() -> String {
    let mut text = format!("det-1\nengine wasmtime {ENGINE_VERSION}\noutcome {}\n", Outcome::LAYOUT);
    for (name, _, on) in FEATURES {
        text += &format!("{name} {}\n", if on { "on" } else { "off" });
    }
    text += "nan-canonicalization on\n";
    text += &format!("fuel default division={DIVISION_FUEL} float-division={FLOAT_DIVISION_FUEL} ");
    text += &format!("grow={GROW_FUEL} grow-page={GROW_PAGE_FUEL} bulk={BULK_FUEL}\n");
    text += &format!("program-bytes {}\n", limits::PROGRAM_BYTES_MAX);
    text += &format!("tables {} of {} elements\n", limiter::TABLES_MAX, limiter::TABLE_ELEMENTS_MAX);
    text + &wasi::description()
}

/// The engine's configuration: the profile, and what of the rest `config` chooses.
pub(crate) fn configure(config: &Config) -> wasmtime::Result<wasmtime::Config> {
    let mut engine = wasmtime::Config::new();
    for (_, switch, on) in FEATURES {
        switch(&mut engine, on);
    }
    engine.cranelift_nan_canonicalization(true);
    engine.consume_fuel(true).operator_cost(operator_cost());
    engine.max_wasm_stack(WASM_STACK_BYTES);
    // A trap is an outcome like any other: nobody reads its backtrace, and taking one costs more than a small task.
    engine.wasm_backtrace_max_frames(None).generate_address_map(false).native_unwind_info(cfg!(windows));
    engine.epoch_interruption(config.deadline == crate::Deadline::Inside);
    if config.backend == Backend::Pulley {
        engine.target(PULLEY)?;
    }
    if config.scarce_address_space {
        engine.memory_reservation(SCARCE_RESERVATION_BYTES);
    }
    if config.pooling {
        engine.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(config.slots)));
    }
    Ok(engine)
}

/// What a memory reserves on phones, whose processes may have no more than 2^39 bytes of addresses.
const SCARCE_RESERVATION_BYTES: u64 = 64 << 20;

/// What a slot keeps of the memory that its last task wrote: the memory of a small program.
const KEEP_RESIDENT_BYTES: usize = 256 << 10;

/// Pulley's name for this machine's word size and byte order.
const PULLEY: &str = match (cfg!(target_pointer_width = "64"), cfg!(target_endian = "big")) {
    (true, false) => "pulley64",
    (true, true) => "pulley64be",
    (false, false) => "pulley32",
    (false, true) => "pulley32be",
};

/// Slots for `slots` tasks at once. Each reserves addresses for all that a task may ever grow to, so that a slot never
/// refuses what the task's limits allow.
fn pooling(slots: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(slots)
        .total_memories(slots)
        .total_tables(slots * limiter::TABLES_MAX)
        .total_gc_heaps(0)
        .max_memories_per_module(1)
        .max_tables_per_module(limiter::TABLES_MAX)
        .table_elements(limiter::TABLE_ELEMENTS_MAX)
        .max_memory_size(usize::try_from(limits::TASK_MEMORY_BYTES_MAX).unwrap_or(usize::MAX))
        // A check without an allocation behind it: far above what a program of the largest size can need.
        .max_core_instance_size(64 << 20)
        .max_unused_warm_slots(slots);
    // Measured: a no-op task takes 7 µs where the kernel can tell which pages were written (Linux 6.7) and only those
    // are cleared, 26 µs where all is given back to the system, 37 µs where all of this much is cleared.
    pool.pagemap_scan(Enabled::Auto);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.linear_memory_keep_resident(KEEP_RESIDENT_BYTES).table_keep_resident(KEEP_RESIDENT_BYTES);
    }
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_the_version_that_the_profile_names() {
        let lock = include_str!("../../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{ENGINE_VERSION}\"")));
    }

    #[test]
    fn the_description_names_every_knob_once() {
        let text = description();
        let mut names: Vec<_> = text.lines().map(|line| line.split(' ').next()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{text}");
    }
}

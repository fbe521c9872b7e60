//! What the profile leaves out of the suite: by file where a proposal is switched off, by line where it differs otherwise.
//!
//! Nothing here is skipped. Every file is run, and each directive that does not come out right must be refused for a
//! reason that is listed for that file; a listed reason that no longer shows fails the test as well.

/// A proposal that the profile switches off.
pub(super) struct Off {
    /// What it is.
    pub what: &'static str,
    /// How the engine or the script's runner refuses it: part of what they say.
    pub says: &'static [&'static str],
    /// The files of the suite that it shows in, with or without much that the profile has.
    pub files: &'static str,
}

/// All of them. `specs/execution.md` §2 tells why they are off.
pub(super) const OFF: [Off; 12] = [
    Off {
        what: "references to things of the host (externref): they need a collector",
        says: &["gc types are disallowed"],
        files: "
            wasm-v2/br_table wasm-v2/elem wasm-v2/global wasm-v2/linking wasm-v2/ref_is_null wasm-v2/ref_null
            wasm-v2/select wasm-v2/table_fill wasm-v2/table_get wasm-v2/table_grow wasm-v2/table_set
            wasm-v2/table_size wasm-latest/br_table wasm-latest/elem wasm-latest/global wasm-latest/linking
            wasm-latest/local_init wasm-latest/ref wasm-latest/ref_is_null wasm-latest/ref_null wasm-latest/select
            wasm-latest/table wasm-latest/table_get wasm-latest/table_grow wasm-latest/table_set
            wasm-latest/table_size bulk-memory/table_fill custom-descriptors/exact extended-const/elem
            extended-const/global function-references/br_table function-references/elem function-references/global
            function-references/linking function-references/local_init function-references/ref
            function-references/ref_is_null function-references/ref_null function-references/select
            function-references/table gc/i31 reference-types/br_table reference-types/global reference-types/linking
            reference-types/ref_is_null reference-types/ref_null reference-types/select reference-types/table_fill
            reference-types/table_get reference-types/table_grow reference-types/table_set reference-types/table_size
        ",
    },
    Off {
        what: "garbage collection: structs, arrays, subtypes, and what came to constant expressions with them",
        says: &[
            "requires `gc` proposal",
            "gc proposal must be enabled",
            "not supported without the gc feature",
            "global.get of locally defined global",
        ],
        files: "
            wasm-latest/data wasm-latest/elem wasm-latest/global wasm-latest/type-canon wasm-latest/type-equivalence
            wasm-latest/type-rec bulk-memory/table_init custom-descriptors/array_new_exact
            custom-descriptors/binary-descriptors custom-descriptors/br_on_cast custom-descriptors/br_on_cast_desc_eq
            custom-descriptors/br_on_cast_desc_eq_fail custom-descriptors/br_on_cast_fail
            custom-descriptors/descriptors custom-descriptors/exact-casts custom-descriptors/exact-func-import
            custom-descriptors/exact custom-descriptors/ref_cast_desc_eq custom-descriptors/ref_get_desc
            custom-descriptors/struct_new_desc exceptions/tag gc/array gc/array_copy gc/array_fill gc/array_init_data
            gc/array_init_elem gc/array_new_data gc/array_new_elem gc/br_on_cast gc/br_on_cast_fail gc/extern
            gc/ref_cast gc/ref_eq gc/ref_test gc/struct gc/type-subtyping
        ",
    },
    Off {
        what: "typed function references",
        says: &["function references required", "function references support", "function-references proposal"],
        files: "
            wasm-latest/br_on_non_null wasm-latest/br_on_null wasm-latest/call_ref wasm-latest/elem wasm-latest/global
            wasm-latest/instance wasm-latest/linking wasm-latest/ref_as_non_null wasm-latest/ref_is_null
            wasm-latest/return_call wasm-latest/return_call_indirect wasm-latest/return_call_ref wasm-latest/table
            wasm-latest/type-equivalence wasm-latest/type-rec wasm-latest/unreached-valid bulk-memory/table-sub
            custom-descriptors/exact-func-import exceptions/try_table function-references/br_on_non_null
            function-references/br_on_null function-references/call_ref function-references/elem
            function-references/linking function-references/ref_as_non_null function-references/ref_is_null
            function-references/return_call_ref function-references/table-sub function-references/table
            function-references/type-equivalence function-references/unreached-valid
        ",
    },
    Off {
        what: "tail calls",
        says: &["tail calls support"],
        files: "
            wasm-latest/return_call wasm-latest/return_call_indirect function-references/return_call
            function-references/return_call_indirect tail-call/return_call tail-call/return_call_indirect
        ",
    },
    Off {
        what: "exceptions",
        says: &["exceptions proposal", "exceptions support", "exception handling feature", "there are no exceptions"],
        files: "
            wasm-latest/imports exceptions/tag exceptions/throw exceptions/throw_ref exceptions/try_table
        ",
    },
    Off {
        what: "several memories",
        says: &["multiple memories"],
        files: "
            wasm-latest/instance custom-page-sizes/custom-page-sizes-invalid custom-page-sizes/custom-page-sizes
            multi-memory/address0 multi-memory/address1 multi-memory/align0 multi-memory/binary0 multi-memory/data0
            multi-memory/data1 multi-memory/data_drop0 multi-memory/exports0 multi-memory/float_exprs0
            multi-memory/float_exprs1 multi-memory/float_memory0 multi-memory/imports0 multi-memory/imports1
            multi-memory/imports2 multi-memory/imports3 multi-memory/imports4 multi-memory/linking0
            multi-memory/linking1 multi-memory/linking2 multi-memory/linking3 multi-memory/load0 multi-memory/load1
            multi-memory/load2 multi-memory/memory-multi multi-memory/memory_copy0 multi-memory/memory_copy1
            multi-memory/memory_fill0 multi-memory/memory_grow multi-memory/memory_init0 multi-memory/memory_size0
            multi-memory/memory_size1 multi-memory/memory_size2 multi-memory/memory_size_import
            multi-memory/memory_trap0 multi-memory/memory_trap1 multi-memory/start0 multi-memory/store0
            multi-memory/store1 multi-memory/store2 multi-memory/traps0 simd/simd_memory-multi
        ",
    },
    Off {
        what: "memories and tables with 64-bit addresses",
        says: &["must be enabled for 64-bit"],
        files: "
            memory64/address64 memory64/align64 memory64/binary-leb128 memory64/endianness64 memory64/float_memory64
            memory64/load64 memory64/memory64 memory64/memory_grow64 memory64/memory_redundancy64
            memory64/memory_trap64
        ",
    },
    Off {
        what: "pages of another size",
        says: &["custom page sizes", "integer representation too long"],
        files: "
            custom-page-sizes/custom-page-sizes-invalid custom-page-sizes/custom-page-sizes
            custom-page-sizes/memory_max custom-page-sizes/memory_max_i64
        ",
    },
    Off {
        what: "custom descriptors",
        says: &["custom-descriptors proposal", "custom descriptors required"],
        files: "
            custom-descriptors/exact-func-import custom-descriptors/exact
        ",
    },
    Off {
        what: "threads",
        says: &["threads must be enabled", "threads support"],
        files: "
            threads/atomic threads/exports threads/imports threads/memory
        ",
    },
    Off {
        what: "relaxed SIMD",
        says: &["relaxed SIMD support"],
        files: "
            relaxed-simd/i16x8_relaxed_q15mulr_s relaxed-simd/i32x4_relaxed_trunc relaxed-simd/i8x16_relaxed_swizzle
            relaxed-simd/relaxed_dot_product relaxed-simd/relaxed_laneselect relaxed-simd/relaxed_madd_nmadd
            relaxed-simd/relaxed_min_max
        ",
    },
    Off {
        what: "wide arithmetic",
        says: &["wide arithmetic support"],
        files: "
            wide-arithmetic/wide-arithmetic
        ",
    },
];

/// Places where the profile answers otherwise than a script wants, although it has what they are about.
pub(super) struct Other {
    /// Why.
    pub why: &'static str,
    /// The file.
    pub file: &'static str,
    /// The lines of its directives.
    pub lines: &'static [usize],
}

/// All of them.
pub(super) const OTHER: [Other; 7] = [
    Other {
        why: "a bound of the profile: a table has at most 131,072 elements",
        file: "wasm-latest/table",
        lines: &[9],
    },
    Other {
        why: "an older edition: bulk memory moved the check of segments from linking to their use, one after another",
        file: "mutable-global/linking",
        lines: &[206, 227, 236, 238, 248, 298, 334, 342, 344, 354],
    },
    Other {
        why: "an older edition: a later one allows these operands in code that is never reached",
        file: "reference-types/unreached-invalid",
        lines: &[539],
    },
    Other {
        why: "an older edition: reference types allow several tables",
        file: "threads/imports",
        lines: &[309, 313, 317],
    },
    Other {
        why: "stricter than the script needs: `neg` makes no NaN, it turns the sign of the canonical one",
        file: "simd/simd_f64x2_arith",
        lines: &[5297],
    },
    Other { why: "it expects what a refused module would have written", file: "multi-memory/linking0", lines: &[42] },
    Other {
        why: "it expects what a refused module would have written",
        file: "multi-memory/load1",
        lines: &[25, 26, 27, 28, 29],
    },
];

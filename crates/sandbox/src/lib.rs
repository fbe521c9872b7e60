//! Deterministic, metered execution of one task in WebAssembly.

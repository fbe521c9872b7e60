//! The kernels of the shipped programs: plain functions that compute the same bytes natively and in WebAssembly.
//!
//! The programs in `src/bin` only read arguments and streams. Nothing here does, so a test can run a kernel natively
//! and compare.

pub mod arguments;
pub mod mandelbrot;
pub mod primes;
pub mod text;
pub mod words;

#!/bin/sh
# Builds the guests, puts them into wasm/ and writes their hashes to wasm/SHA256SUMS.
# Needs: rustup target add wasm32-wasip1
set -eu
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-target}
# Paths out, so that every checkout builds the same bytes; SIMD in, because the profile has it (specs/execution.md).
export RUSTFLAGS="-C target-feature=+simd128 --remap-path-prefix=$PWD=/guests --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
CARGO_TARGET_DIR=$target cargo build --release --locked --target wasm32-wasip1 --bins
for source in src/bin/*.rs; do
    cp "$target/wasm32-wasip1/release/$(basename "$source" .rs).wasm" wasm/
done
cd wasm && sha256sum -- *.wasm > SHA256SUMS && cat SHA256SUMS

# Short commands. `just` alone lists them.

set positional-arguments

_list:
    @just --list --unsorted

# A mesh of real processes, a job, a cheat, and a picture.
demo *args:
    cargo run --release --locked -- demo "$@"

# Everything that README promises to pass.
test *args:
    cargo test --release --locked --workspace "$@"

# Architecture and style alone.
tidy:
    cargo test --release --locked -p pocketmesh-tidy

# Formatting and lints, as CI asks for them.
lint:
    cargo fmt --all --check
    cargo clippy --release --locked --workspace --all-targets -- -D warnings

# All that CI runs, in its order.
ci:
    bash .ci/run

# Licences and advisories; fetches the advisory database. Needs `cargo install --locked cargo-deny`.
deny:
    cargo deny check

# Rebuild the WebAssembly programs that we ship; their hashes are checked by a test.
guests:
    rustup target add wasm32-wasip1
    sh crates/guests/build.sh

# Build the two examples of the guide into DIR. Needs `pip install ziglang`, or WASI_CC.
examples dir:
    sh crates/guests/examples/build "$1"

# Programs that others wrote, here and under a reference runtime; fetches them. `--mesh` runs them on a mesh.
real *args:
    cargo build --release --locked
    crates/guests/real/check "$@"

# Ten thousand generated modules, compiled and interpreted: a few minutes.
generated:
    cargo test --release --locked -p pocketmesh-sandbox --test sandbox -- --ignored generated

# A gibibyte of text, counted on four peers: minutes, and some gigabytes of disk.
large:
    cargo test --release --locked --workspace --test processes -- --ignored --nocapture a_gibibyte

# Daemons killed two hundred times while they work and are paid: some minutes.
kills:
    POCKETMESH_KILLS=200 cargo test --release --locked --workspace --test processes -- killed_again

# The binary that is handed out.
dist:
    cargo build --profile dist --locked --bin pocketmesh

# One line a task; every line also works when typed.
fmt:
    cargo fmt --all
lint:
    cargo clippy --workspace --all-targets -- -D warnings
test:
    cargo test --workspace
demo:
    cargo run --release --bin sealway -- demo
bench:
    bench/compare.sh
fuzz target:
    cd fuzz && cargo +nightly fuzz run {{target}} -- -max_total_time=60

#!/usr/bin/env bash
# The Rust toolchain named by `rust-version` in Cargo.toml, rustfmt and clippy, and the cargo-pgrx
# that belongs to the pgrx of Cargo.toml. Does nothing when they are there.
. "$(dirname "$0")/lib.sh"

have cargo || die "no cargo: install Rust with rustup"
if ! rust_is_right; then
    have rustup || die "Rust $RUST_VERSION is needed, this is $(rustc --version)"
    say "installing Rust $RUST_VERSION"
    logged rustup rustup toolchain install "$RUST_VERSION" --profile minimal -c rustfmt -c clippy
    export RUSTUP_TOOLCHAIN=$RUST_VERSION
fi
if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    say "installing rustfmt and clippy"
    logged rustup rustup component add rustfmt clippy
fi

if [ "$(cargo pgrx --version 2>/dev/null)" != "cargo-pgrx $CARGO_PGRX_VERSION" ]; then
    say "building cargo-pgrx $CARGO_PGRX_VERSION (some minutes, once)"
    # Its own target directory goes with the build: it is of no use afterwards.
    logged cargo-pgrx env CARGO_TARGET_DIR="$CACHE/cargo-pgrx-build" \
        cargo install --locked --root "$CARGO_PGRX_ROOT" --version "=$CARGO_PGRX_VERSION" cargo-pgrx
    rm -rf "$CACHE/cargo-pgrx-build"
fi

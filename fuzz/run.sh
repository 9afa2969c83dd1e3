#!/bin/sh
# Runs fuzz targets, with libFuzzer's coverage and the address sanitizer, on the stable compiler:
#   fuzz/run.sh SECONDS [TARGET...]      (every target unless some are named)
# Inputs that were found are kept in fuzz/corpus/TARGET, failing ones in fuzz/artifacts/TARGET. `cargo fuzz` works as well.
set -eu
seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET...]}
shift
[ $# -gt 0 ] || set -- control_frames handshake stream_header stream_opening chunks house_keeper_messages
cd "$(dirname "$0")"
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Ccodegen-units=1"
host=$(rustc -vV | sed -n 's/^host: //p')
cargo build --release --target "$host"
bins=${CARGO_TARGET_DIR:-target}/$host/release
for target in "$@"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    "$bins/$target" -max_total_time="$seconds" -max_len=8192 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="artifacts/$target/" "corpus/$target"
done

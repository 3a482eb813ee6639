# The developer's commands. Checks live in .ci/run, so that CI and `just` cannot differ; `just` itself is optional.

# List the commands.
default:
    @just --list

# Everything that CI runs, or the named steps: just check clippy test
check *steps:
    .ci/run {{ steps }}

# What to run before every commit.
quick: (check "fmt" "clippy" "test")

# Format the code.
fmt:
    cargo fmt --all

# A collector, this host's agent and a hundred simulated ones, until Ctrl-C.
demo *arguments:
    cargo demo {{ arguments }}

# Measure; `just bench --save-baseline before`, then `just bench --baseline before`.
bench *arguments:
    cargo bench -- {{ arguments }}

# Drive collectors with simulated agents and judge what they show: just load run --agents 15000 --interval 1s
load *arguments:
    cargo run --release -p fleetgauge-loadtest -- {{ arguments }}

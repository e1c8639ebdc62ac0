#!/usr/bin/env bash
# Simulates random markets: SEEDS seeds from FIRST on, OPS transactions each. The same seed gives the same run.
set -euo pipefail
cd "$(dirname "$0")/.."
SEEDS=${SEEDS:-4}
OPS=${OPS:-26000}
FIRST=${FIRST:-1}
echo "seeds $FIRST to $((FIRST + SEEDS - 1)), $OPS transactions each"
time go test ./app -run '^TestSimulation' -count=1 -timeout 24h -v -args -sim.seeds="$SEEDS" -sim.ops="$OPS" -sim.first="$FIRST"

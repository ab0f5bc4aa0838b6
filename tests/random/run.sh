#!/bin/sh
# Random programs on interp, ir and jit: 10^8 instructions on each, no difference allowed.
cd "$(dirname "$0")/../.." || exit 1
exec "build/${MODE:-release}/tests/random/random" --insns "${INSNS:-100000000}" --seed "${SEED:-1}"

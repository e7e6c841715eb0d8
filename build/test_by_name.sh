#!/bin/bash
# Tests `make test T=name`: a name in every runner runs tests in each, and a name in no runner fails with a hint.
set -u
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0

check() {
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1"; fi
}

# Part of a name of a test in every runner but `fuzz`. Choose another one when the tests are renamed.
word=closed
output=$(build/test.sh "$word" 2>&1)
check "make test T=$word succeeds" $?
for runner in rust supervisor loaders module integration; do
    grep -qE "^$runner +[1-9][0-9]* passed, 0 failed, " <<<"$output"
    check "make test T=$word runs tests of the runner \"$runner\"" $?
done
[ "$failed" = 0 ] || tail -n 60 <<<"$output"

output=$(build/test.sh no_test_has_this_name 2>&1)
[ $? = 1 ]
check "a name that no test has fails" $?
grep -q '^no test has a name that contains "no_test_has_this_name"' <<<"$output"
check "a name that no test has is explained" $?

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

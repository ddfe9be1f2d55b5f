#!/bin/bash
# Builds everything and runs the whole test suite; installs what is missing first. Takes no arguments.
#
# Two builds: gcc as it is shipped, and clang with AddressSanitizer, UBSan and the fuzzers. The suite runs once against each; started as
# root, the second run is done as a plain user, so that both ways of starting the server are tested. The last line is the count.
#   VERSTAK_TEST_ONLY="t/22_push.t …"  only these files, only against the gcc build
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
. contrib/packages.sh
packages_install build run test lint

export LC_ALL=C.UTF-8 TZ=UTC
build_plain=$top/build
build_sanitizers=$top/build-sanitizers
work=$(mktemp -d "${TMPDIR:-/tmp}/verstak-test.XXXXXX")
chmod 0755 "$work"
passed=0 failed=0
# The last line is the count, whatever ended this; a build or a check that fails is one failed test.
finish() {
	local status=$?
	rm -rf "$work"
	if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
	printf '\n%d passed, %d failed\n' "$passed" "$failed"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
step() { printf '\n== %s\n' "$*"; }

step "build with gcc"
CC=gcc BUILD_DIR=$build_plain contrib/build.sh --enable-werror
make -s -C "$build_plain" -j"$(nproc)" unit-tests

# run_suite NAME BUILD-DIRECTORY [WRAPPER…]: prove over the unit tests of the build and all of t/*.t.
run_suite() {
	local name=$1 build=$2 log=$work/$1.log status=0
	shift 2
	local files
	mapfile -t files < <(find "$build/t/unit" -maxdepth 1 -type f -executable -name 'test_*' | sort)
	files+=(t/*.t)
	[ -z "${VERSTAK_TEST_ONLY:-}" ] || read -ra files <<<"$VERSTAK_TEST_ONLY"
	"$@" env VERSTAK_BIN="$build/verstak-sync-server" VERSTAK_BUILD="$build" VERSTAK_SUITE="$name" \
		prove --jobs "${VERSTAK_TEST_JOBS:-3}" --timer -I t/lib "${files[@]}" 2>&1 | tee "$log" || status=$?
	local good bad
	read -r good bad < <(awk -f "$top/contrib/count.awk" "$log")
	[ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
	passed=$((passed + good))
	failed=$((failed + bad))
}

if [ -z "${VERSTAK_TEST_ONLY:-}" ]; then
	step "build with clang, AddressSanitizer, UBSan and the fuzzers"
	CC=clang BUILD_DIR=$build_sanitizers contrib/build.sh --enable-werror --enable-sanitizers --enable-fuzzers
	make -s -C "$build_sanitizers" -j"$(nproc)" unit-tests fuzz-programs

	step "static checks"
	contrib/lint.sh "$build_sanitizers" || failed=$((failed + 1))

	step "suite with sanitizers"
	if [ "$(id -u)" -eq 0 ]; then
		id verstak-test >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin verstak-test
		# A plain user may not be able to reach the checkout: the suite runs from a copy.
		mkdir "$work/copy"
		tar -C "$top" --exclude=./build --exclude=./.git --exclude=./server-data --exclude='*.o' --exclude='*.a' -cf - . | tar -C "$work/copy" -xf -
		chown -R verstak-test "$work/copy"
		mkdir "$work/tmp" && chown verstak-test "$work/tmp"
		(cd "$work/copy" && run_suite sanitizers "$work/copy/build-sanitizers" \
			runuser -u verstak-test -- env HOME="$work/tmp" TMPDIR="$work/tmp"
			echo "$passed $failed" >"$work/counts")
		read -r passed failed <"$work/counts"
	else
		run_suite sanitizers "$build_sanitizers"
	fi
fi

step "suite as shipped"
run_suite plain "$build_plain"

[ "$failed" -eq 0 ]

#!/bin/sh
# Static checks of our C files: cppcheck, clang-tidy (checks in .clang-tidy). Silent when clean.
#   contrib/lint.sh BUILD-DIRECTORY   (its generated headers are needed)
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
cd "$top"
flags="-std=gnu11 -include $build/config.h -Isrc -I$build/src -It/unit -D_GNU_SOURCE -DH2O_USE_LIBUV=0 -DH2O_USE_EPOLL=1 $(pkg-config --cflags libpq json-c yaml-0.1)"

cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,performance,portability \
	--suppress=missingIncludeSystem --suppress=varFuncNullUB -j 2 -Isrc -I"$build/src" -DPACKAGE_VERSION='"0"' src

# shellcheck disable=SC2086 # the flags are words
find src -name '*.c' -print0 | xargs -0 -P 2 -n 8 sh -c 'clang-tidy --quiet --warnings-as-errors="*" "$@" -- '"$flags"' 2>/dev/null' lint

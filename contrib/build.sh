#!/bin/sh
# Builds ./build/bin/verstak-sync-server. Arguments go to configure: contrib/build.sh --enable-werror
# BUILD_DIR names another directory; CC another compiler. Run again it builds only what changed.
# shellcheck disable=SC3013 # dash has -nt
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD_DIR:-$top/build}
mkdir -p "$build"
build=$(cd "$build" && pwd)

# Generated files are made anew only when their sources are newer.
if [ ! -x "$top/configure" ] || [ "$top/configure.ac" -nt "$top/configure" ] || [ "$top/Makefile.am" -nt "$top/Makefile.in" ]; then
	(cd "$top" && autoreconf --install --force)
fi
cd "$build"
wanted="$* CC=${CC:-}"
if [ ! -f Makefile ] || [ ! -f .configured ] || [ "$(cat .configured)" != "$wanted" ] || [ "$top/configure" -nt Makefile ]; then
	"$top/configure" "$@"
	printf '%s\n' "$wanted" >.configured
fi
make -s -j"$(nproc)"
mkdir -p bin
cp -f verstak-sync-server bin/.new
mv -f bin/.new bin/verstak-sync-server
echo "built $build/bin/verstak-sync-server"

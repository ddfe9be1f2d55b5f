#!/bin/sh
# A consistent backup of a running (or stopped) server, without stopping it:
#
#   contrib/backup.sh [--data DIR] [--keep N] [--external-database] TARGET
#
# --data               the data directory; /var/lib/verstak-sync-server unless given
# --keep N             afterwards remove all database dumps in TARGET but the newest N
# --external-database  database.url is set: the dump is taken from where libpq's variables say (PGHOST, PGDATABASE, PGUSER,
#                      PGSERVICE, PGPASSFILE, …). Without it, from the private PostgreSQL in the data directory
#
# TARGET gets verstak-TIME.dump (pg_dump's custom format), config-TIME.yml, secret-TIME.key and blobs/. Blobs never change,
# so a TARGET that is used again gets only new ones; several dumps share them. Blobs that are gone from the server stay in
# TARGET.
# Run it as root or as the server's user. contrib/restore.sh brings it back.
set -eu
umask 077

die() {
	echo "backup: $*" >&2
	exit 1
}

data=/var/lib/verstak-sync-server keep='' external=no target=''
while [ $# -gt 0 ]; do
	case $1 in
	--data | --keep)
		[ $# -gt 1 ] || die "$1 needs a value"
		if [ "$1" = --data ]; then data=$2; else keep=$2; fi
		shift
		;;
	--data=*) data=${1#*=} ;;
	--keep=*) keep=${1#*=} ;;
	--external-database) external=yes ;;
	--help)
		sed -n '2,/^set -eu$/ { /^#/ s/^# \{0,1\}//p; }' "$0"
		exit 0
		;;
	-*) die "unknown option '$1'; see --help" ;;
	*)
		[ -z "$target" ] || die "one target directory, not several"
		target=$1
		;;
	esac
	shift
done
[ -n "$target" ] || die "where to? usage: backup.sh [--data DIR] [--keep N] [--external-database] TARGET"
case $keep in
*[!0-9]* | 0) die "--keep wants a number from 1 on" ;;
esac
directory=$(cd "$data" 2>/dev/null && pwd -P) || die "cannot open the data directory '$data'; --data names another"
data=$directory
mkdir -p "$target/blobs"
target=$(cd "$target" && pwd -P)
time=$(date -u +%Y%m%dT%H%M%SZ)
trap 'rm -rf "$target/.dump" "$target/.config" "$target/.secret" "$target/.list" "$target/.incoming"' EXIT

# Copies what TARGET does not have yet. A file gets its name in blobs/ when it is whole and on the disk, so that one that is
# there is whole, also after a crash.
copy_blobs() {
	[ -d "$data/blobs" ] || return 0
	rm -rf "$target/.incoming"
	mkdir "$target/.incoming"
	(cd "$data/blobs" && find . -type f -path './??/??/*') >"$target/.list"
	while IFS= read -r blob; do
		[ ! -e "$target/blobs/$blob" ] || continue
		# What the janitor removes meanwhile nothing needs.
		cp -p "$data/blobs/$blob" "$target/.incoming/" || [ ! -e "$data/blobs/$blob" ] || die "cannot copy the blob '$blob'"
	done <"$target/.list"
	sync -f "$target"
	find "$target/.incoming" -type f >"$target/.list"
	while IFS= read -r file; do
		name=${file##*/}
		first=${name%"${name#??}"}
		rest=${name#??}
		directory=$target/blobs/$first/${rest%"${rest#??}"}
		mkdir -p "$directory"
		mv "$file" "$directory/"
	done <"$target/.list"
	rm -rf "$target/.incoming" "$target/.list"
}

# Runs a command as the owner of the data directory, as whom PostgreSQL knows us.
as_owner() {
	if [ "$(id -u)" -eq 0 ]; then
		setpriv --reuid="$(stat -c %u "$data")" --regid="$(stat -c %g "$data")" --clear-groups -- "$@"
	else
		"$@"
	fi
}

dump_private() {
	version=$(cat "$data/postgres/PG_VERSION") || die "no private PostgreSQL in '$data'; is it --external-database?"
	[ -S "$data/run/.s.PGSQL.5432" ] || die "the private PostgreSQL does not run: start the server"
	bin=/usr/lib/postgresql/$version/bin
	[ -x "$bin/pg_dump" ] || bin=$(dirname "$(command -v pg_dump)") || die "cannot find pg_dump"
	as_owner "$bin/pg_dump" --format=custom --host="$data/run" --port=5432 --username=verstak verstak
}

# Blobs, dump, blobs. What the dump refers to was there when it was taken: if before the first copy went by, that has it; if
# later, the second one has it, for the janitor leaves new blobs alone for a day (retention.blob_grace).
cd /
copy_blobs
if [ "$external" = yes ]; then
	pg_dump --format=custom --no-password >"$target/.dump"
else
	dump_private >"$target/.dump"
fi
copy_blobs
if [ -e "$data/config.yml" ]; then cp "$data/config.yml" "$target/.config"; fi
if [ -e "$data/secret.key" ]; then cp "$data/secret.key" "$target/.secret"; fi
sync -f "$target"

if [ -e "$target/.config" ]; then mv "$target/.config" "$target/config-$time.yml"; fi
if [ -e "$target/.secret" ]; then mv "$target/.secret" "$target/secret-$time.key"; fi
mv "$target/.dump" "$target/verstak-$time.dump"
sync -f "$target"
echo "$target/verstak-$time.dump"

if [ -n "$keep" ]; then
	find "$target" -maxdepth 1 -name 'verstak-*.dump' | sort -r | tail -n "+$((keep + 1))" | while IFS= read -r old; do
		name=${old##*/verstak-}
		rm -f "$old" "$target/config-${name%.dump}.yml" "$target/secret-${name%.dump}.key"
	done
fi

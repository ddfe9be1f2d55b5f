#!/bin/sh
# Brings a backup made by contrib/backup.sh back, into a data directory that does not exist yet or is empty:
#
#   contrib/restore.sh [--data DIR] [--dump FILE] [--external-database] [--no-verify] SOURCE
#
# --data               the new data directory; /var/lib/verstak-sync-server unless given
# --dump FILE          which dump of SOURCE; the newest unless given
# --external-database  into the database that libpq's variables name (PGHOST, PGDATABASE, PGUSER, …), which must be empty
# --no-verify          do not check that each blob's content has the hash that is its name
#
# As root the data goes to the system user verstak-sync, or to the one that VERSTAK_SERVER_USER names. The server must not
# run. VERSTAK_BIN names the server's program, if it is neither installed nor in ./build.
set -eu
umask 077
top=$(cd "$(dirname "$0")/.." && pwd)

die() {
	echo "restore: $*" >&2
	exit 1
}

data=/var/lib/verstak-sync-server dump='' external=no verify=yes source=''
while [ $# -gt 0 ]; do
	case $1 in
	--data | --dump)
		[ $# -gt 1 ] || die "$1 needs a value"
		if [ "$1" = --data ]; then data=$2; else dump=$2; fi
		shift
		;;
	--data=*) data=${1#*=} ;;
	--dump=*) dump=${1#*=} ;;
	--external-database) external=yes ;;
	--no-verify) verify=no ;;
	--help)
		sed -n '2,/^set -eu$/ { /^#/ s/^# \{0,1\}//p; }' "$0"
		exit 0
		;;
	-*) die "unknown option '$1'; see --help" ;;
	*)
		[ -z "$source" ] || die "one source directory, not several"
		source=$1
		;;
	esac
	shift
done
[ -n "$source" ] || die "from where? usage: restore.sh [--data DIR] [--dump FILE] [--external-database] SOURCE"
directory=$(cd "$source" 2>/dev/null && pwd -P) || die "cannot open the backup '$source'"
source=$directory
if [ -z "$dump" ]; then
	dump=$(find "$source" -maxdepth 1 -name 'verstak-*.dump' | sort | tail -n 1)
	[ -n "$dump" ] || die "no backup in '$source': no file verstak-TIME.dump is there"
fi
[ -f "$dump" ] || die "no dump '$dump'"
dump=$(cd "$(dirname "$dump")" && pwd -P)/${dump##*/}
name=${dump##*/verstak-}
saved=$source/config-${name%.dump}.yml
key=$source/secret-${name%.dump}.key

server=${VERSTAK_BIN:-/opt/verstak-sync-server/verstak-sync-server}
[ -x "$server" ] || server=$top/build/bin/verstak-sync-server
[ -x "$server" ] || die "cannot find the server's program; name it in VERSTAK_BIN"

owner=$(id -un)
if [ "$owner" = root ]; then owner=${VERSTAK_SERVER_USER:-verstak-sync}; fi
getent passwd "$owner" >/dev/null || die "no user '$owner'; contrib/install.sh makes it"
as_owner() {
	if [ "$(id -u)" -eq 0 ]; then
		setpriv --reuid="$owner" --regid="$(id -g "$owner")" --init-groups -- "$@"
	else
		"$@"
	fi
}

if [ -d "$data" ]; then
	[ -z "$(ls -A "$data")" ] || die "'$data' is not empty; move it away first"
else
	mkdir -p "$data"
fi
data=$(cd "$data" && pwd -P)

if [ "$verify" = yes ]; then
	echo "checking the blobs" >&2
	# "HASH  ./ab/cd/HASH" for each file; --check reads nothing as an error, hence the empty file in front.
	bad=$({
		echo "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  /dev/null"
		cd "$source/blobs" && find . -type f | sed 's|^.*/\([^/]*\)$|\1  &|'
	} | (cd "$source/blobs" && sha256sum --check --quiet 2>&1)) || die "these blobs are damaged, nothing was restored: $bad"
fi

echo "copying blobs and configuration" >&2
cp -R --preserve=timestamps "$source/blobs" "$data/blobs"
if [ -f "$saved" ]; then cp "$saved" "$data/config.yml"; fi
if [ -f "$key" ]; then
	cp "$key" "$data/secret.key"
	chmod 0600 "$data/secret.key"
fi
if [ "$(id -u)" -eq 0 ]; then chown -R "$owner:" "$data"; fi
chmod 0700 "$data"

cd /
if [ "$external" = yes ]; then
	echo "restoring the database" >&2
	pg_restore --no-owner --no-privileges --single-transaction --exit-on-error --no-password --dbname="${PGDATABASE:-}" <"$dump"
else
	# The server makes its cluster when it starts; it is stopped at once, and its empty schema gives way to the dump's.
	echo "making the private PostgreSQL" >&2
	"$server" --data "$data" --user "$owner" --database.url= --listen 127.0.0.1:0 --workers 1 --daemon \
		--pid-file "$data/restore.pid" --log.file="$data/restore.log" || die "the server did not start; see '$data/restore.log'"
	pid=$(cat "$data/restore.pid")
	kill -TERM "$pid"
	while [ -d "/proc/$pid" ] && ! grep -qs '^State:[[:space:]]*Z' "/proc/$pid/status"; do sleep 0.1; done
	bin=/usr/lib/postgresql/$(cat "$data/postgres/PG_VERSION")/bin
	[ -x "$bin/pg_ctl" ] || bin=$(dirname "$(command -v pg_ctl)")
	trap 'as_owner "$bin/pg_ctl" --pgdata="$data/postgres" --mode=fast --silent stop' EXIT
	as_owner "$bin/pg_ctl" --pgdata="$data/postgres" --wait --silent --log="$data/restore.log" start
	export PGHOST="$data/run" PGPORT=5432
	echo "restoring the database" >&2
	as_owner "$bin/dropdb" --username=postgres verstak
	as_owner "$bin/createdb" --username=postgres --owner=verstak --template=template0 verstak
	as_owner "$bin/pg_restore" --username=verstak --no-owner --no-privileges --single-transaction --exit-on-error \
		--dbname=verstak <"$dump"
	as_owner "$bin/vacuumdb" --username=postgres --analyze-only --quiet verstak
	as_owner "$bin/pg_ctl" --pgdata="$data/postgres" --mode=fast --silent stop
	trap - EXIT
	rm -f "$data/restore.log" "$data/restore.pid"
fi
sync -f "$data"
echo "restored ${dump##*/} into $data; the server can be started" >&2

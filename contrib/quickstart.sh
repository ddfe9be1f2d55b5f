#!/bin/sh
# From a fresh Debian 12 to a running server in one command:
#
#   contrib/quickstart.sh [--admin-user NAME] [--admin-pass PASSWORD | --admin-pass-file FILE |
#                         --admin-pass-stdin] [server options…]
#
# Installs the packages that are missing (as root or through sudo; with none missing neither is needed), builds, makes an
# admin, and becomes the server: in the foreground, on 127.0.0.1:47732, with its data in ./server-data of this checkout.
# Without --admin-pass the password is a random one, shown once; an admin that config.yml has already is kept as it is.
# It asks nothing. All other arguments go to the server: --listen, --workers, ….
#
# For tests: VERSTAK_BIN names a server that is built already, VERSTAK_SERVER_USER the user to run as when started
# as root (verstak-sync), VERSTAK_STATE_DIR the place for data that cannot lie in the checkout.
set -eu
umask 022
top=$(cd "$(dirname "$0")/.." && pwd -P)
server=${VERSTAK_BIN:-${BUILD_DIR:-$top/build}/bin/verstak-sync-server}
service_user=${VERSTAK_SERVER_USER:-verstak-sync}
state=${VERSTAK_STATE_DIR:-/var/lib/verstak-sync-server}
data=$top/server-data

die() {
	echo "quickstart: $*" >&2
	exit 1
}

usage() {
	sed -n '2,/^set -eu$/ { /^#/ s/^# \{0,1\}//p; }' "$0"
}

# Takes the options of ours out of the arguments; "$@" is what the server gets. A password on the command line would show
# in the process list as long as this script runs: it starts itself again with the password on descriptor 9.
admin_user='' admin_pass='' admin_pass_file='' config=''
arguments=$#
while [ "$arguments" -gt 0 ]; do
	argument=$1
	shift
	arguments=$((arguments - 1))
	case $argument in
	--admin-user | --admin-pass | --admin-pass-file | --data | --config)
		[ "$arguments" -gt 0 ] || die "$argument needs a value"
		value=$1
		shift
		arguments=$((arguments - 1))
		;;
	--admin-user=* | --admin-pass=* | --admin-pass-file=* | --data=* | --config=*)
		value=${argument#*=}
		argument=${argument%%=*}
		;;
	--admin-pass-stdin)
		value=/dev/stdin
		argument=--admin-pass-file
		;;
	--help | -h)
		usage
		exit 0
		;;
	*)
		set -- "$@" "$argument"
		continue
		;;
	esac
	case $argument in
	--admin-user) admin_user=$value ;;
	--admin-pass) admin_pass=$value ;;
	--admin-pass-file) admin_pass_file=$value ;;
	--data) data=$value ;;
	--config) config=$value ;;
	esac
done

if [ -n "$config" ]; then set -- "--config=$config" "$@"; fi
if [ -n "$admin_pass" ]; then
	exec "$0" "--admin-user=${admin_user:-admin}" --admin-pass-file=/dev/fd/9 "--data=$data" "$@" 9<<-END
		$admin_pass
	END
fi
if [ -n "$admin_pass_file" ]; then
	IFS= read -r admin_pass <"$admin_pass_file" || [ -n "$admin_pass" ] || die "cannot read a password from '$admin_pass_file'"
	exec 9<&-
fi

# Packages and build.
if [ -z "${VERSTAK_BIN:-}" ]; then
	# shellcheck source=contrib/packages.sh
	. "$top/contrib/packages.sh"
	packages_install build run || die "cannot install the packages"
	"$top/contrib/build.sh" >&2 || die "the build failed"
fi
[ -x "$server" ] || die "no server at '$server'"

# May the service user go there?
reaches() {
	setpriv --reuid="$service_user" --regid="$(id -g "$service_user")" --clear-groups -- test -x "$1"
}

# PostgreSQL refuses to run as root, so that the server started as root drops to a user of its own.
as_root() {
	if ! getent passwd "$service_user" >/dev/null; then
		useradd --system --user-group --no-create-home --home-dir "$state" --shell /usr/sbin/nologin "$service_user"
		echo "made the system user '$service_user'" >&2
	fi
	if [ "$data" != "$top/server-data" ] || [ -L "$data" ] || reaches "$top"; then return; fi
	if [ -d "$data" ]; then
		die "the user '$service_user' cannot reach '$data': move it to '$state' and make a symbolic link to that in its place"
	fi
	mkdir -p "$state"
	ln -s "$state" "$data"
	echo "the user '$service_user' cannot reach '$top': the data is in '$state', and '$data' is a link to it" >&2
}
if [ "$(id -u)" -eq 0 ]; then
	as_root
	if [ -n "${VERSTAK_SERVER_USER:-}" ]; then set -- "--user=$service_user" "$@"; fi
fi

# Is there an entry under admin: (with this name, if one is given)?
config=${config:-$data/config.yml}
has_admin() {
	[ -f "$config" ] || return 1
	sed -n "s/^[[:space:]{-]*[\"']\{0,1\}username[\"']\{0,1\}:[[:space:]]*//p" "$config" | sed "s/[\"']//g; s/[[:space:]]*\(#.*\)\{0,1\}\$//" |
		if [ -n "$1" ]; then grep -qxF -e "$1"; else grep -q .; fi
}

if [ -z "$admin_pass" ]; then
	if has_admin "$admin_user"; then
		echo "admin: the one in '$config' is kept" >&2
		exec "$server" "--data=$data" "$@"
	fi
	# 20 characters of 54 without look-alikes: 115 bits.
	admin_pass=$(LC_ALL=C tr -dc 'a-km-zA-HJ-NP-Z2-9' </dev/urandom | head -c 20)
	admin_user=${admin_user:-admin}
	echo "admin user:     $admin_user"
	echo "admin password: $admin_pass   (shown only now)"
fi
exec "$server" "--data=$data" "--admin-user=${admin_user:-admin}" --admin-pass-stdin "$@" <<END
$admin_pass
END

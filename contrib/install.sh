#!/bin/sh
# Installs the built server as a service, or replaces it by a newer one. Run as root from the checkout:
#
#   contrib/install.sh [--no-packages] [--no-start]
#
# Program /opt/verstak-sync-server/verstak-sync-server, data /var/lib/verstak-sync-server, environment
# /etc/verstak-server/env, service verstak-server (a systemd unit, or an init script where systemd is not), logrotate file,
# manual pages. What the operator may have changed (environment, configuration) is never overwritten. A running service
# goes on with the new program without refusing a connection (SIGUSR2); one that does not run is started.
#
# DESTDIR=/some/where puts the files there and touches nothing else: no user, no packages, no service.
set -eu
umask 022
top=$(cd "$(dirname "$0")/.." && pwd)
root=${DESTDIR:-}
server=${VERSTAK_BIN:-${BUILD_DIR:-$top/build}/bin/verstak-sync-server}
service_user=verstak-sync
program=/opt/verstak-sync-server/verstak-sync-server
data=/var/lib/verstak-sync-server
packages=yes start=yes
for argument; do
	case $argument in
	--no-packages) packages=no ;;
	--no-start) start=no ;;
	*)
		sed -n '2,/^set -eu$/ { /^#/ s/^# \{0,1\}//p; }' "$0"
		[ "$argument" = --help ] && exit 0
		exit 2
		;;
	esac
done

die() {
	echo "install: $*" >&2
	exit 1
}

if [ -z "$root" ]; then
	[ "$(id -u)" -eq 0 ] || die "root is needed to install (or set DESTDIR)"
	# shellcheck source=contrib/packages.sh
	. "$top/contrib/packages.sh"
	if [ "$packages" = yes ]; then packages_install run; fi
	if ! getent passwd "$service_user" >/dev/null; then
		useradd --system --user-group --no-create-home --home-dir "$data" --shell /usr/sbin/nologin "$service_user"
	fi
fi
[ -x "$server" ] || die "no server at '$server': run contrib/build.sh first"
if [ -z "$root" ] && [ -e "$data/config.yml" ]; then
	"$server" --check-config --data "$data" >/dev/null || die "the new program refuses the configuration; nothing was changed"
fi

# put MODE SOURCE TARGET: in one step, so that nobody ever sees half a file.
put() {
	mkdir -p "$root${3%/*}"
	install -m "$1" "$2" "$root$3.new"
	mv -f "$root$3.new" "$root$3"
}

# put_once MODE SOURCE TARGET: not over what is there.
put_once() {
	if [ -e "$root$3" ]; then return; fi
	put "$1" "$2" "$3"
	if [ -z "$root" ]; then chown "root:$service_user" "$3"; fi
}

has_systemd() {
	[ -n "$root" ] || [ -d /run/systemd/system ]
}

put 0755 "$server" "$program"
put_once 0640 "$top/etc/env" /etc/verstak-server/env
put 0644 "$top/etc/verstak-server.logrotate" /etc/logrotate.d/verstak-server
put 0644 "$top/doc/verstak-sync-server.8" /usr/local/share/man/man8/verstak-sync-server.8
put 0644 "$top/doc/verstak-sync-server.yml.5" /usr/local/share/man/man5/verstak-sync-server.yml.5
put 0644 "$top/etc/config.yml" /usr/local/share/doc/verstak-sync-server/config.yml
if has_systemd; then put 0644 "$top/etc/verstak-server.service" /etc/systemd/system/verstak-server.service; fi
if [ -n "$root" ] || ! has_systemd; then put 0755 "$top/etc/verstak-sync-server.init" /etc/init.d/verstak-server; fi
[ -z "$root" ] || exit 0

if [ ! -d "$data" ]; then
	mkdir -p "${data%/*}"
	install -d -m 0700 -o "$service_user" -g "$service_user" "$data"
fi

with_systemd() {
	systemctl daemon-reload
	if systemctl is-active --quiet verstak-server; then
		systemctl kill --kill-whom=main --signal=USR2 verstak-server
		echo "verstak-server goes on with the new program"
	elif [ "$start" = yes ]; then
		systemctl enable --now verstak-server
		echo "verstak-server is started"
	else
		echo "start it with: systemctl enable --now verstak-server"
	fi
}

with_init_script() {
	if /etc/init.d/verstak-server status >/dev/null; then
		/etc/init.d/verstak-server upgrade
	elif [ "$start" = yes ]; then
		if command -v update-rc.d >/dev/null; then update-rc.d verstak-server defaults; fi
		/etc/init.d/verstak-server start
	else
		echo "start it with: /etc/init.d/verstak-server start"
	fi
}

if has_systemd; then with_systemd; else with_init_script; fi

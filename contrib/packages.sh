# The Debian packages that this project needs, in one place, and what installs them.
# shellcheck shell=sh disable=SC2034 # used by those who source it
# Sourced by the scripts in contrib/ (". contrib/packages.sh", then e.g. "packages_install build run"); POSIX sh; Debian 12's names.

# To build the server.
packages_build="autoconf automake gcc libc6-dev make perl pkg-config
	libcrypt-dev libcurl4-openssl-dev libh2o-evloop-dev libjson-c-dev libpq-dev libssl-dev libsystemd-dev libyaml-dev"

# To run it: its libraries, the programs of a PostgreSQL server for the private database, users and privileges.
# Any PostgreSQL from 13 on serves; where one is installed no other is asked for.
packages_postgresql=postgresql-15
for packages_initdb in /usr/lib/postgresql/1[3-9]/bin/initdb; do
	if [ -x "$packages_initdb" ]; then packages_postgresql=; fi
done
packages_run="libcrypt1 libcurl4 libh2o-evloop0.13 libjson-c5 libpq5 libssl3 libsystemd0 libyaml-0-2
	passwd util-linux $packages_postgresql"

# To run t/ and make bench. The tests start PostgreSQL, PgBouncer, nginx and an SMTP server themselves, unprivileged. The second build
# of contrib/test.sh is clang's: sanitizers and fuzzers need its run-time library.
packages_test="clang curl git libclang-rt-14-dev libdbd-pg-perl libdbi-perl libemail-mime-perl libyaml-libyaml-perl nginx-light openssl pgbouncer
	postgresql-15 procps python3-aiosmtpd systemd wrk xz-utils"

# Formatter, analysers, checks of manual pages and scripts.
packages_lint="clang-format clang-tidy cppcheck mandoc shellcheck"

# packages_missing NAME…: prints those packages that are not installed.
packages_missing() {
	for packages_name in "$@"; do
		# One line for each architecture of the package.
		packages_state=$(dpkg-query -W -f '${db:Status-Status}\n' "$packages_name" 2>/dev/null) || packages_state=
		case "
$packages_state
" in
		*"
installed
"*) ;;
		*) echo "$packages_name" ;;
		esac
	done
}

# The packages of groups: build, run, test, lint.
packages_of() {
	for packages_group in "$@"; do
		case $packages_group in
		build) echo "$packages_build" ;;
		run) echo "$packages_run" ;;
		test) echo "$packages_test" ;;
		lint) echo "$packages_lint" ;;
		*) echo "$0: no group of packages is called '$packages_group'" >&2 && return 1 ;;
		esac
	done
}

# Runs a command as root: directly, or through sudo.
packages_as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo "$@"
	else
		echo "$0: root is needed to install packages; as root run: apt-get install --no-install-recommends $packages_wanted" >&2
		return 1
	fi
}

# packages_install GROUP…: installs what is missing. With nothing missing neither root nor apt is needed.
packages_install() {
	packages_names=$(packages_of "$@") || return 1
	# shellcheck disable=SC2086 # a list of names
	packages_wanted=$(packages_missing $packages_names | sort -u | tr '\n' ' ')
	if [ -z "$packages_wanted" ]; then return 0; fi
	echo "installing packages: $packages_wanted" >&2
	packages_cluster_off || return 1
	packages_status=0
	# shellcheck disable=SC2086 # a list of names
	{
		packages_as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 update &&
			packages_as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
				install --no-install-recommends $packages_wanted
	} </dev/null >&2 || packages_status=1
	packages_cluster_as_before
	return "$packages_status"
}

# Debian's PostgreSQL server package starts a cluster of its own, which the server does not use. While the package is
# being installed for the first time a file of ours says not to; nothing that is there already is touched.
packages_dropin=/etc/postgresql-common/createcluster.d/verstak-sync-server.conf
packages_cluster_off() {
	packages_dropin_made=no
	case " $packages_wanted " in
	*" postgresql-15 "*) ;;
	*) return 0 ;;
	esac
	if [ -e "$packages_dropin" ]; then return 0; fi
	packages_dropin_made=yes
	packages_as_root mkdir -p "${packages_dropin%/*}" &&
		echo "create_main_cluster = false" | packages_as_root tee "$packages_dropin" >/dev/null
}

packages_cluster_as_before() {
	if [ "$packages_dropin_made" = yes ]; then
		packages_as_root rm -f "$packages_dropin"
		packages_as_root rmdir "${packages_dropin%/*}" 2>/dev/null || true
	fi
}

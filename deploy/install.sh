#!/bin/sh
# Brings a Debian 12 machine to where the stack can start: packages that are missing, the virtual environment,
# system users. Nothing else is changed, and no system service is started: while packages are installed a
# policy-rc.d forbids it, and their units are left disabled.
#
#   deploy/install.sh [--for-tests]      with it: the tools of the tests too, Chromium among them
#
# VENV names the virtual environment (default .venv).
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}

packages="python3 python3-venv ca-certificates postgresql redis-server knot rspamd
  postfix postfix-sqlite postfix-lmdb
  dovecot-core dovecot-imapd dovecot-pop3d dovecot-lmtpd dovecot-sieve dovecot-managesieved dovecot-sqlite
  libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core fonts-wqy-microhei fonts-unifont"
requirements=requirements.txt
if [ "${1:-}" = --for-tests ]; then
    packages="$packages chromium chromium-driver libfaketime swaks libnet-ssleay-perl curl openssl"
    requirements=requirements-dev.txt
fi
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.d/mxpanel-install.conf

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing_packages() { for package in $packages; do is_installed "$package" || printf '%s ' "$package"; done; }

put_back() {
    as_root rm -f "$cluster" "$policy"
    [ ! -e "$policy.before-mxpanel" ] || as_root mv "$policy.before-mxpanel" "$policy"
}

forbid_services() {
    [ -e "$policy.before-mxpanel" ] || [ ! -e "$policy" ] || as_root mv "$policy" "$policy.before-mxpanel"
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    # No cluster "main": the stack has one of its own. The directory exists only with postgresql-common.
    as_root mkdir -p "$(dirname "$cluster")"
    echo 'create_main_cluster = false' | as_root tee "$cluster" >/dev/null
}

leave_disabled() {
    command -v systemctl >/dev/null 2>&1 || return 0
    for package in "$@"; do
        for unit in $(dpkg-query -L "$package" | sed -n 's|^\(/usr\)\{0,1\}/lib/systemd/system/\([^/@]*\.service\)$|\2|p'); do
            as_root systemctl disable --quiet "$unit" >/dev/null 2>&1 || true
        done
    done
}

install_packages() {
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null 2>&1; then
        echo "These Debian packages are missing, and there is neither root nor sudo to install them:" >&2
        echo "  $*" >&2
        echo "As root:  apt-get install --no-install-recommends $*" >&2
        exit 1
    fi
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "This needs Debian 12: there is no apt-get to install: $*" >&2
        exit 1
    fi
    echo "Installing Debian packages: $*"
    trap put_back EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    forbid_services
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
    leave_disabled "$@"
    put_back
    trap - EXIT INT TERM HUP
}

# Debian's own python3 first: an interpreter below somebody's home cannot be reached by the stack's users.
choose_python() {
    for python in /usr/bin/python3 python3; do
        if "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    echo "Python 3.11 or newer is missing." >&2
    exit 1
}

make_environment() {
    wanted="$(cat requirements.txt "$requirements" | sha256sum | cut -d' ' -f1)"
    [ "$(cat "$venv/stamp-$requirements" 2>/dev/null)" != "$wanted" ] || return 0
    [ -x "$venv/bin/python" ] || "$(choose_python)" -m venv "$venv"
    echo "Installing Python packages into $venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
    echo "$wanted" >"$venv/stamp-$requirements"
}

make_users() {
    if ! getent passwd mxpanel >/dev/null; then
        as_root useradd --system --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin mxpanel
    fi
    as_root "$venv/bin/python" -m mailnode users | grep -v '^nothing is missing$' || true
}

missing=$(missing_packages)
# shellcheck disable=SC2086 (a list of words)
[ -z "$missing" ] || install_packages $missing
make_environment
make_users

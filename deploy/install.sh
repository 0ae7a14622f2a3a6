#!/bin/sh
# Installs what opsbridge needs. make, CI and the Dockerfile call this one script, so its steps are the tested ones.
#   deploy/install.sh packages run [demo test check bench]   system packages of packages.txt for these uses
#   deploy/install.sh python VENV [EXTRAS]                     pinned Python packages and opsbridge itself
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

packages() {
    wanted=""
    for use in "$@"; do
        wanted="$wanted $(awk -v use="$use" '!/^#/ && $2 == use {print $1}' "$root/packages.txt")"
    done
    if ! command -v dpkg-query >/dev/null 2>&1; then
        echo "no apt here; install what these packages contain by hand:$wanted (see docs/install.md)" >&2
        return 0
    fi
    missing=""
    for package in $wanted; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    if [ "$(id -u)" != 0 ]; then
        echo "these system packages are missing; install them with:" >&2
        echo "  sudo apt-get update && sudo apt-get install --no-install-recommends$missing" >&2
        return 0
    fi
    apt-get update -qq
    # Services of these packages are not ours to start: the tests and the demo start their own.
    policy=/usr/sbin/policy-rc.d
    [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && ours=1; }
    # shellcheck disable=SC2086  # a list of names
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    [ -z "${ours:-}" ] || rm -f "$policy"
}

python() {
    venv=$1
    extras=${2:-}
    stamp="$venv/.installed-$(cat "$root/constraints.txt" "$root/setup.cfg" "$root/pyproject.toml" | cksum | tr ' ' -)-$extras"
    [ -e "$stamp" ] && return 0
    [ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        { echo "opsbridge needs Python 3.11 or newer; name one with PYTHON=…" >&2; exit 1; }
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -U -c "$root/constraints.txt" setuptools wheel
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-build-isolation \
        -c "$root/constraints.txt" -e "$root${extras:+[$extras]}"
    "$venv/bin/pybabel" -q compile -d "$root/templates/console/translations"
    touch "$stamp"
}

command=$1
shift
"$command" "$@"

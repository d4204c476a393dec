#!/bin/bash
# Runs `make demo` and `make test` of the newest commit in empty Debian systems, as a user who has just cloned it would.
#
#   fresh.sh [SYSTEM...]    as root; a SYSTEM is a Debian suite, or SUITE-no-c++ for one without a C++ compiler
#                           (by default: trixie, trixie-no-c++, forky)
#
# FRESH=... is the folder for the systems (/var/tmp/cartpole_robot_fresh), MIRROR=... Debian's archive. A suite is fetched
# once; every run begins with a copy of it, an empty HOME, and nothing in any cache. CI=true makes a missing tool an error.
set -euo pipefail

FOLDER=${FRESH:-/var/tmp/cartpole_robot_fresh}
MIRROR=${MIRROR:-http://deb.debian.org/debian}
PROJECT=$(cd "$(dirname "$0")/.." && pwd)
PACKAGES=ca-certificates,gcc,git,libc6-dev,make,python3,python3-dev,python3-venv

[ "$(id -u)" = 0 ] || { echo "make fresh changes its root folder, which only root may: run sudo make fresh" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "debootstrap is missing; install it: apt-get install debootstrap" >&2; exit 2; }

base_of() { # SUITE; prints the folder of the fetched suite
    if [ ! -e "$FOLDER/$1.base/complete" ]; then
        rm -rf "$FOLDER/$1.base"
        mkdir -p "$FOLDER"
        script=/usr/share/debootstrap/scripts/$1 # an older debootstrap does not know a newer suite's name
        [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
        debootstrap --variant=minbase --include=$PACKAGES "$1" "$FOLDER/$1.base" "$MIRROR" "$script" \
            >"$FOLDER/$1.debootstrap.log" ||
            { tail -3 "$FOLDER/$1.debootstrap.log" >&2; return 1; }
        touch "$FOLDER/$1.base/complete"
    fi
    echo "$FOLDER/$1.base"
}

# Runs the rest of its arguments in the system, whose mounts vanish with it.
inside() { # ROOT WORDS...
    root=$1 && shift
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount --propagation private bash -c '
        mount --rbind /dev "$1/dev" && mount --rbind /proc "$1/proc" && mount -t tmpfs tmpfs "$1/run"
        root=$1 && shift && exec chroot "$root" env -i "$@"' inside "$root" \
        PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 CI="${CI:-}" \
        ${PIP_CERT:+PIP_CERT=/etc/ssl/certs/ca-certificates.crt} "$@"
}

timed() { # NAME LOG WORDS...; prints NAME, exit code, minutes
    begin=$SECONDS code=0
    "${@:3}" >"$2" 2>&1 || code=$?
    printf '  %-10s exit code %d, %d:%02d min, load %s: %s\n' "$1" $code $(((SECONDS - begin) / 60)) $(((SECONDS - begin) % 60)) \
        "$(cut -d' ' -f1 /proc/loadavg)" "$2"
    return $code
}

try() { # SYSTEM
    suite=${1%-no-c++}
    root=$FOLDER/$1
    base=$(base_of "$suite") || return 1
    rm -rf "$root"
    cp -a "$base" "$root"
    # A mirror of a suite that still changes may be some weeks old, and its Release file with it.
    echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/90-old-mirror"
    # The host's names and certificates, for hosts behind a proxy.
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    [ "$1" != "$suite" ] || inside "$root" apt-get install --yes --no-install-recommends g++ >"$FOLDER/$1.c++.log" 2>&1
    git clone --quiet --no-hardlinks "$PROJECT" "$root/root/cartpole_robot"
    echo "$1: $(inside "$root" python3 --version), $(inside "$root" cc --version | head -1)"
    outcome=0
    timed demo "$FOLDER/$1.demo.log" inside "$root" make -C /root/cartpole_robot demo || outcome=1
    timed test "$FOLDER/$1.test.log" inside "$root" make -C /root/cartpole_robot test || outcome=1
    grep -E '^(PyBullet |.*: left out, with )' "$FOLDER/$1.demo.log" | sed 's/^/  /' || true
    grep -hE '^[0-9]+ (passed|failed)|[0-9]+ (passed|failed).* in ' "$FOLDER/$1.test.log" | sed 's/^/  /' || true
    [ $outcome != 0 ] || rm -rf "$root" # a system that failed stays, to look into
    return $outcome
}

failed=
[ $# -gt 0 ] || set -- trixie trixie-no-c++ forky
for system in "$@"; do
    try "$system" || failed="$failed $system"
done
[ -z "$failed" ] || { echo "Failed:$failed" >&2; exit 1; }

#!/bin/sh
# What must be on this computer before anything can be installed, and what its packages are called here.
#
#   system.sh python [PYTHON [PREFERRED]]
#                               print the Python to use, or say in one line what is missing; without PYTHON it is
#                               PREFERRED where that will do, as an environment that is there already
#   system.sh command PART...   print the command that installs these parts: python, headers, cc, c++
set -eu

OLDEST=11 NEWEST=14 # of CPython 3
VERSION= # of the Python in question, as in 3.13; empty while there is none

family() {
    (
        ID= ID_LIKE=
        [ ! -r "${OS_RELEASE:=/etc/os-release}" ] || . "$OS_RELEASE"
        for name in $ID $ID_LIKE $(uname -s); do
            case $name in
            debian | ubuntu) echo debian && return ;;
            fedora | rhel | centos) echo fedora && return ;;
            arch) echo arch && return ;;
            suse | opensuse*) echo suse && return ;;
            alpine) echo alpine && return ;;
            Darwin) echo macos && return ;;
            esac
        done
    )
}

# The distribution calls its own Python python3, and others by their version.
is_own() { [ -z "$VERSION" ] || [ "$(/usr/bin/python3 -c "$DOTTED" 2>/dev/null)" = "$VERSION" ]; }
DOTTED='import sys; print("%d.%d" % sys.version_info[:2])'

packages() { # FAMILY PART
    own=python3
    is_own || own=python$VERSION
    case $1-$2 in
    debian-python) echo "$own $own-dev $own-venv" ;;
    debian-headers) echo "$own-dev $own-venv" ;;
    debian-cc) echo "gcc libc6-dev" ;;
    debian-c++) echo g++ ;;
    fedora-python) echo "$own $own-devel" ;;
    fedora-headers) echo "$own-devel" ;;
    suse-python) echo "python3$NEWEST python3$NEWEST-devel" ;;
    suse-headers) echo "$(echo "$own" | tr -d .)-devel" ;;
    alpine-python) echo "python3 python3-dev" ;;
    alpine-headers) echo python3-dev ;;
    alpine-cc) echo "gcc musl-dev" ;;
    alpine-c++) echo g++ ;;
    *-c++) [ "$1" = arch ] && echo gcc || echo gcc-c++ ;;
    *-cc) echo gcc ;;
    arch-*) echo python ;;
    esac
}

command_for() { # PART...
    family=$(family)
    names=
    for part in "$@"; do names="$names $(packages "$family" "$part")"; done
    sudo="sudo "
    [ "$(id -u)" != 0 ] || sudo=
    case $family in
    debian) echo "${sudo}apt-get install$names" ;;
    fedora) echo "${sudo}dnf install$names" ;;
    arch) echo "${sudo}pacman -S$names" ;;
    suse) echo "${sudo}zypper install$names" ;;
    alpine) echo "${sudo}apk add$names" ;;
    macos) case " $* " in *" python "*) echo "brew install python" ;; *) echo "xcode-select --install" ;; esac ;;
    *) echo "your system's packages of: $*" ;;
    esac
}

# What a Python is, in words; nothing and exit code 0 for one that will do.
fault_of() {
    "$1" - $OLDEST $NEWEST 2>/dev/null <<'PYTHON' || echo "$1 does not run"
import platform, sys, sysconfig
oldest, newest = map(int, sys.argv[1:])
name, version = platform.python_implementation(), sys.version_info
if name != "CPython":
    print("%s is %s" % (sys.executable, name))
elif not (3, oldest) <= version[:2] <= (3, newest):
    print("%s is CPython %d.%d" % (sys.executable, version[0], version[1]))
elif sysconfig.get_config_var("Py_GIL_DISABLED"):
    print("%s is a free-threaded build" % sys.executable)
PYTHON
}

missing_parts() { # PYTHON
    "$1" -c 'import ensurepip, venv' 2>/dev/null &&
        "$1" -c 'import os, sysconfig; os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null ||
        echo headers
    command -v "${CC:-cc}" >/dev/null || command -v gcc >/dev/null || echo cc
}

choose_python() {
    wanted="CPython 3.$OLDEST to 3.$NEWEST is needed"
    chosen=${1:-}
    if [ -z "$chosen" ]; then
        found=
        for name in "${2:-}" python3.11 python3 python3.13 python3.12 python3.14 python; do
            command -v "$name" >/dev/null 2>&1 || continue
            fault=$(fault_of "$name")
            if [ -z "$fault" ]; then chosen=$name && break; fi
            found="$found, $fault"
        done
        if [ -z "$chosen" ]; then
            echo "$wanted${found:+ (${found#, })}; install it: $(command_for python)" >&2
            exit 2
        fi
    else
        fault=$(fault_of "$chosen")
        if [ -n "$fault" ]; then
            echo "$wanted: $fault; choose another with make PYTHON=..." >&2
            exit 2
        fi
    fi
    VERSION=$("$chosen" -c "$DOTTED")
    missing=$(missing_parts "$chosen")
    if [ -n "$missing" ]; then
        what=$(echo "$missing" | sed -e "s/headers/the headers or venv of Python $VERSION/" -e "s/cc/a C compiler/" |
            sed ':a;N;$!ba;s/\n/ and /')
        # shellcheck disable=SC2086 # one word a part
        echo "Missing: $what; install it: $(command_for $missing)" >&2
        exit 2
    fi
    echo "$chosen"
}

verb=${1:-}
[ $# = 0 ] || shift
case $verb in
python) choose_python "$@" ;;
command) command_for "$@" ;;
*) sed -n 's/^# \{0,1\}//p' "$0" | sed -n 2,7p && exit 2 ;;
esac

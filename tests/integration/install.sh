#!/bin/sh
# Goal: `meson install` puts everything where a distribution expects it, the library exports its own
# names only, and a program built against the installed tree alone runs.
# usage: install.sh BUILD_DIRECTORY
set -eu

build=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/hawser-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

meson install -C "$build" --no-rebuild --quiet --destdir "$work/root"
prefix=$(dirname "$(dirname "$(find "$work/root" -path '*/bin/hawser')")")
[ -x "$prefix/bin/hawser" ] || { fail "bin/hawser is not installed"; exit 1; }
libdir=$(dirname "$(find "$prefix" -name 'libhawser.so')")

# --- where things are ---
for path in include/hawser/hawser.h include/hawser/bench.h \
    share/man/man1/hawser.1 share/man/man1/hawser-bench.1 share/man/man8/hawserd.8 \
    share/man/man5/hawser.conf.5 share/man/man3/libhawser.3 share/man/man7/hawser-protocol.7; do
    [ -s "$prefix/$path" ] || [ -s "$prefix/$path.gz" ] || fail "$path is not installed"
done
[ -x "$prefix/sbin/hawserd" ] || [ -x "$prefix/bin/hawserd" ] || fail "hawserd is not installed"
[ -s "$libdir/libhawser.a" ] || fail "libhawser.a is not installed"
[ -s "$libdir/pkgconfig/hawser.pc" ] || fail "hawser.pc is not installed"
find "$prefix" -name 'hsr_*' -o -name 'libhsr_*' -o -path '*/hawser/*' -name '*.h' \
    ! -name hawser.h ! -name bench.h | while read -r path; do echo "$path"; done >"$work/internal"
[ ! -s "$work/internal" ] || fail "internal files are installed: $(cat "$work/internal")"

# --- names ---
readelf --dynamic "$libdir/libhawser.so" | grep -q 'SONAME.*\[libhawser\.so\.[0-9]' ||
    fail "libhawser.so has no versioned soname"
nm --dynamic --defined-only "$libdir/libhawser.so" | awk '{ print $3 }' >"$work/exported"
grep -q '^hawser_' "$work/exported" || fail "libhawser.so exports nothing"
if grep -v -E '^(hawser_|HAWSER_)' "$work/exported" >"$work/foreign"; then
    fail "libhawser.so exports names that are not its own: $(head -5 "$work/foreign")"
fi
nm --extern-only --defined-only "$libdir/libhawser.a" 2>/dev/null |
    awk 'NF == 3 { print $3 }' >"$work/static"
if grep -v -E '^(hawser_|hsr_)' "$work/static" >"$work/foreign"; then
    fail "libhawser.a defines names that are not its own: $(head -5 "$work/foreign")"
fi

# --- a program of somebody else ---
cat >"$work/user.c" <<'END'
#include <errno.h>
#include <hawser/bench.h>
#include <hawser/hawser.h>
#include <stdio.h>

int main(void)
{
    const char *text = hawser_strerror(-ENOENT);

    printf("%s %s\n", hawser_version(), text);
    return text == 0 || text[0] == '\0';
}
END
PKG_CONFIG_SYSROOT_DIR=$work/root
PKG_CONFIG_PATH=$libdir/pkgconfig
export PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_PATH
pkg-config --exists hawser || fail "pkg-config does not find hawser"
flags="-std=c11 -pedantic -Wall -Wextra -Werror"
# The flags are words, to be split.
# shellcheck disable=SC2046,SC2086
if cc $flags $(pkg-config --cflags hawser) "$work/user.c" -o "$work/shared" \
    $(pkg-config --libs hawser); then
    LD_LIBRARY_PATH=$libdir "$work/shared" >"$work/out" || fail "the program does not run"
    grep -q "^$(pkg-config --modversion hawser) " "$work/out" ||
        fail "version of the library and of hawser.pc differ: $(cat "$work/out")"
else
    fail "a C11 program does not build against the shared library"
fi
# Only libhawser is linked statically: the static forms of what it needs are further packages.
unset PKG_CONFIG_SYSROOT_DIR
needs=$(pkg-config --print-requires-private hawser | awk '{ print $1 }')
# shellcheck disable=SC2046,SC2086
if cc $flags -I"$prefix/include" "$work/user.c" -o "$work/static-user" "$libdir/libhawser.a" \
    $(pkg-config --libs $needs) -pthread; then
    "$work/static-user" >/dev/null || fail "the program does not run with the static library"
else
    fail "a C11 program does not build against the static library"
fi

LD_LIBRARY_PATH=$libdir "$prefix/bin/hawser" --version >/dev/null ||
    fail "the installed hawser does not run"

[ "$failures" = 0 ] || exit 1
echo "install: all in place"

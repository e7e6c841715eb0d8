# Functions that build a Debian package from a directory; for `.` in a script at the top of the checkout.
# The caller sets: work, out, release, architecture.
# shellcheck shell=sh disable=SC2154

maintainer="flying-passenger <packages@flying-passenger.invalid>"

# Prints the newest symbol version of the C library that the programs require.
libc() {
    objdump -T "$@" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1 | sed 's/GLIBC_/libc6 (>= /; s/$/)/'
}

# control NAME VERSION DEPENDS < FIELDS: writes the control files of a package; FIELDS end with the description.
control() {
    mkdir -p "$work/$1/DEBIAN"
    {
        printf 'Package: %s\nVersion: %s\nArchitecture: %s\n' "$1" "$2" "$architecture"
        printf 'Maintainer: %s\nDepends: %s\nSection: httpd\nPriority: optional\n' "$maintainer" "$3"
        printf 'Homepage: https://github.com/flying-passenger/flying-passenger\n'
        cat
    } > "$work/$1/DEBIAN/control"
    for script in postinst prerm postrm; do
        [ ! -e "packaging/deb/$1.$script" ] || install -m 755 "packaging/deb/$1.$script" "$work/$1/DEBIAN/$script"
    done
    [ ! -e "packaging/deb/$1.triggers" ] || install -m 644 "packaging/deb/$1.triggers" "$work/$1/DEBIAN/triggers"
    # Every file below /etc is one that administrators may change.
    (cd "$work/$1" && find etc -type f -printf '/%p\n' 2>/dev/null | sort) > "$work/conffiles"
    [ ! -s "$work/conffiles" ] || install -m 644 "$work/conffiles" "$work/$1/DEBIAN/conffiles"
    doc=$work/$1/usr/share/doc/$1
    mkdir -p "$doc"
    cat LICENSE-MIT > "$doc/copyright"
    gzip -9n < CHANGELOG.md > "$doc/changelog.gz"
}

# package NAME VERSION: builds it in the directory $out.
package() {
    (cd "$work/$1" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | xargs -0 md5sum > DEBIAN/md5sums)
    dpkg-deb --root-owner-group --build "$work/$1" "$out/${1}_${2}_${architecture}.deb"
}

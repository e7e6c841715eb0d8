#!/bin/bash
# Makes an apt repository of Debian packages, with a section for each release of Debian, signed with a key of gpg's keyring.
set -euo pipefail

usage="usage: repository.sh PACKAGES DIRECTORY KEY"
packages=${1:?$usage}
out=${2:?$usage}
key=${3:-}
[ -n "$key" ] || { echo "repository.sh: name the key that signs it: make apt-repo APT_KEY=fingerprint (gpg --list-secret-keys)" >&2; exit 2; }
gpg --batch --list-secret-keys "$key" >/dev/null 2>&1 || { echo "repository.sh: gpg has no secret key \"$key\"" >&2; exit 1; }

# The suite of a module's package, from its version; nothing for packages that fit every release.
suite_of() {
    case $(dpkg-deb -f "$1" Version) in
    *+deb12) echo bookworm ;;
    *+deb13) echo trixie ;;
    *+*) dpkg-deb -f "$1" Version | sed 's/.*+//' ;;
    esac
}

# Index, checksums and signatures of a suite, whose packages are in pool/SUITE.
publish() {
    local suite=$1 architecture=$2 index=dists/$1/main/binary-$2 release=dists/$1/Release
    mkdir -p "$index"
    apt-ftparchive packages "pool/$suite" >"$index/Packages"
    gzip -9nk "$index/Packages"
    apt-ftparchive -o APT::FTPArchive::Release::Origin=flying-passenger \
        -o APT::FTPArchive::Release::Label=flying-passenger \
        -o "APT::FTPArchive::Release::Suite=$suite" -o "APT::FTPArchive::Release::Codename=$suite" \
        -o "APT::FTPArchive::Release::Architectures=$architecture" -o APT::FTPArchive::Release::Components=main \
        release "dists/$suite" >"$work/Release"
    mv "$work/Release" "$release"
    gpg --batch --yes --local-user "$key" --digest-algo SHA512 --clearsign --output "dists/$suite/InRelease" "$release"
    gpg --batch --yes --local-user "$key" --digest-algo SHA512 --armor --detach-sign --output "$release.gpg" "$release"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
shared=()
for deb in "$packages"/*.deb; do
    [ -e "$deb" ] || { echo "repository.sh: there are no packages in $packages: run make deb" >&2; exit 1; }
    suite=$(suite_of "$deb")
    if [ -z "$suite" ]; then
        shared+=("$deb")
        continue
    fi
    install -D -m 644 "$deb" "$work/repository/pool/$suite/$(basename "$deb")"
done
[ -d "$work/repository/pool" ] || { echo "repository.sh: there is no package of the module in $packages" >&2; exit 1; }
for pool in "$work"/repository/pool/*; do install -m 644 "${shared[@]}" "$pool/"; done

cd "$work/repository"
for pool in pool/*; do publish "${pool#pool/}" "$(dpkg --print-architecture)"; done
gpg --batch --export "$key" >flying-passenger.gpg
cd "$OLDPWD"
rm -rf "$out"
mkdir -p "$(dirname "$out")"
cp -R "$work/repository" "$out"
chmod -R go+rX "$out"
echo "$out: $(cd "$out/dists" && echo *)"

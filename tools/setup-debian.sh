#!/usr/bin/env bash
# Installs the Debian packages that are missing: `setup-debian.sh build` for building and running,
# `setup-debian.sh test` for the tests too, `bench` for the benchmark, `peers` for what one suite compares with. Calls apt only when something is missing.
. "$(dirname "$0")/lib.sh"

packages=(gcc libc6-dev pkg-config libssl-dev libclang-dev)
# With a PG_CONFIG of the caller's own, the server and its headers are the caller's.
[ "$PG_CONFIG" != "$DEBIAN_PG_CONFIG" ] || packages+=(postgresql-15 postgresql-server-dev-15)
case ${1:-build} in
    test)
        packages+=(patchelf libipc-run-perl python3-venv libpostgresql-jdbc-java graphviz)
        have javac || packages+=(default-jdk-headless)
        ;;
    bench) packages+=(python3-venv) ;;
    peers) packages+=(postgresql-15-pgrouting) ;;
esac

missing=()
for p in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0
have apt-get || die "these Debian packages, or what your system calls them, are needed: ${missing[*]}"

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 "$@"
}
install() { logged apt-install apt install --no-install-recommends "$@"; }

say "installing Debian packages: ${missing[*]}"
logged apt-update apt update

# postgresql-15 would create and start a server on port 5432, which nobody asked for here.
conf=/etc/postgresql-common/createcluster.conf
if [[ " ${missing[*]} " = *" postgresql-15 "* ]] && [ ! -e $conf ]; then
    install postgresql-common
    as_root sed -i '/^#\?create_main_cluster/c create_main_cluster = false' $conf
    trap 'as_root sed -i "s/^create_main_cluster = false/#create_main_cluster = true/" $conf' EXIT
fi
install "${missing[@]}"

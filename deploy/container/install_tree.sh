#!/bin/bash
# Makes the file tree of the container image in ROOT, from a finished build: the programs, every
# shared library they need with the loader, and the few files that a process without an operating
# system around it reads. The tree runs by itself (chroot); the Dockerfile lays it over its base,
# and tests/deploy/container_test.py runs it.
#   deploy/container/install_tree.sh BUILD ROOT [LIBRARY...]
# LIBRARY: shared libraries that the programs load only at run time (cuDNN); taken with theirs.
set -euo pipefail

build=${1:?install_tree: which build folder}
root=${2:?install_tree: which folder to make the tree in}
shift 2
here=$(dirname "$(readlink -f "$0")")
user=10001 # No entry of Debian's; Kubernetes needs the number to see that it is not root.

if [[ -e $root ]]; then
  echo "install_tree: $root exists; name a folder that does not" >&2
  exit 1
fi
umask 022
# Debian's layout: the folders of old are links. proc, dev and sys are there to be mounted on.
mkdir -p "$root"/{dev,etc/ssl/certs,proc,run/attnd,sys,tmp,usr/{bin,lib,lib64,sbin}}
for link in bin lib lib64 sbin; do ln -s "usr/$link" "$root/$link"; done
chmod 1777 "$root/tmp"
if [[ $EUID -eq 0 ]]; then chown $user:$user "$root/run/attnd"; fi

DESTDIR=$(realpath "$root") \
  cmake --install "$build" --component programs --prefix /usr/local --strip

# What the loader would map for $1: paths, the loader's own among them. The kernel's vdso has none.
libraries_of() {
  ldd "$1" | awk -v file="$1" '
    /not found/ { print "install_tree: " file " needs " $1 ", not here" > "/dev/stderr"; exit 1 }
    $2 == "=>" { print $3; next }
    $1 ~ /^\// { print $1 }'
}
libraries=("$@")
for file in "$root"/usr/local/bin/* "$@"; do
  needed=$(libraries_of "$file")
  mapfile -t -O ${#libraries[@]} libraries <<<"$needed"
done
# All in the one folder that the loader searches without being told, whatever folder they came from;
# under the name it looks for, as ordinary files. The loader itself has its name in the programs.
libc=$(printf '%s\n' "${libraries[@]}" | grep -m 1 /libc.so)
folder=$root$(realpath "$(dirname "$libc")")
for file in "${libraries[@]}"; do
  case $file in
    "") ;; # Of a library that needs none.
    */ld-linux*) install -D -m 0755 "$file" "$root$(realpath "$(dirname "$file")")/${file##*/}" ;;
    *) install -D -m 0755 "$file" "$folder/${file##*/}" ;;
  esac
done

install -D -m 0644 -t "$root/etc/attnd" \
  "$here/server.yaml" "$here/../../config/attention_config.yaml"
install -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
cat >"$root/etc/passwd" <<PASSWD
root:x:0:0:root:/:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
attnd:x:$user:$user:attention as a service:/nonexistent:/usr/sbin/nologin
PASSWD
printf '%s\n' 'root:x:0:' 'nogroup:x:65534:' "attnd:x:$user:" >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"

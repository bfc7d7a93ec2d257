#!/bin/sh
# certificates.sh HOST: an authority, a certificate for the bridge that listens on HOST, and one for each NAME that
# connects (camera, by default). In the present folder. Keys stay where they are made; ca.pem goes to both sides.
set -eu
host=$1
shift
[ $# -gt 0 ] || set -- camera
days=825
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; chmod 600 "$1"; }
if [ ! -e ca.key ]; then
  key ca.key
  openssl req -x509 -new -key ca.key -days $days -subj '/CN=bridge authority' -out ca.pem \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
fi
# sign NAME COMMON-NAME ALTERNATIVE-NAME USAGE
sign() {
  key "$1.key"
  openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"
  printf 'subjectAltName=%s\nextendedKeyUsage=%s\nbasicConstraints=CA:FALSE\n' "$3" "$4" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days $days -extfile "$1.ext" -out "$1.pem"
  rm "$1.csr" "$1.ext"
}
case $host in
*[!0-9.]*) sign recv "$host" "DNS:$host" serverAuth ;;
*) sign recv "$host" "IP:$host" serverAuth ;;
esac
for name in "$@"; do sign "$name" "$name" "DNS:$name" clientAuth; done

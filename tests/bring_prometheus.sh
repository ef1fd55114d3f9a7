#!/bin/sh
# Brings prometheus and promtool for the tests marked `prometheus`: at once when they are there, else by apt as root.
# Where neither may be: one line says what is skipped and how to get it; in CI (CI=true) that is a failure.
# The tests run Prometheus themselves, on loopback in a temporary folder: the package's service is never left running.
set -eu

install="apt-get update && apt-get install -y --no-install-recommends prometheus"
present() { command -v prometheus >/dev/null 2>&1 && command -v promtool >/dev/null 2>&1; }

by_apt() {
    export DEBIAN_FRONTEND=noninteractive
    policy=/usr/sbin/policy-rc.d # what Debian's packages ask before they start a service
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    apt-get -qq update && apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=120 install prometheus || return 1
    # It was not wanted as a service, so it shall not be one after the next boot either.
    if command -v systemctl >/dev/null 2>&1; then systemctl --quiet disable prometheus.service || true; fi
}

present && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    log=$(mktemp)
    echo "tests: installing prometheus (Debian package) ..." >&2
    by_apt >"$log" 2>&1 || tail -n 5 "$log" >&2
    rm -f "$log"
    present && exit 0
fi
echo "tests: no prometheus here, the tests marked 'prometheus' are skipped; get it with: sudo sh -c '$install'" >&2
case "${CI:-}" in 1 | true | True | TRUE) exit 1 ;; esac

#!/usr/bin/env bash
# Makes Debian's Chromium available for the browser tests. Where it cannot be had, says so in one line and ends
# with 0 (the tests skip that part), or with 1 when CI=true.
set -u
command -v chromium >/dev/null && exit 0
root=""
[ "$(id -u)" = 0 ] || root="sudo -n"
if command -v apt-get >/dev/null; then
    echo "test: installing Chromium …"
    log=$(mktemp)
    if { $root apt-get update -qq && $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >"$log" 2>&1; then
        rm -f "$log"
        exit 0
    fi
    tail -n 2 "$log"
    rm -f "$log"
fi
echo "test: CHROMIUM IS MISSING AND CANNOT BE INSTALLED HERE: the browser stories are skipped (install the package chromium to run them)"
[ "${CI:-}" != true ]

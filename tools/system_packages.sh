#!/usr/bin/env bash
# Sees to the system libraries that system-packages.txt lists: installs the missing ones where it is root and there is
# apt-get, and elsewhere prints the command. Never a failure: what needs a missing library says so itself.
set -euo pipefail

list="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/system-packages.txt"
read -r -a wanted <<<"$(sed -e 's/#.*//' "$list" | tr -s '[:space:]' ' ')"

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    [[ "$(uname -s)" != Linux ]] ||
        echo "System libraries: no apt-get here. The tests need what Debian calls: ${wanted[*]}"
    exit 0
fi

# A package may be there under another name that provides this one (libglib2.0-0t64 for libglib2.0-0).
installed="$(dpkg-query --show --showformat='${db:Status-Abbrev} ${Package}, ${Provides}\n' | sed -n 's/^ii *//p' |
    tr ',' '\n' | sed -e 's/(.*//' -e 's/[[:space:]]//g')"
missing=()
for package in "${wanted[@]}"; do
    grep -qxF "$package" <<<"$installed" || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

if [[ "$(id -u)" -ne 0 ]]; then
    echo "System libraries: ${missing[*]} are missing; some tests need them. Install them with:"
    echo "    sudo apt-get install --no-install-recommends ${missing[*]}"
    exit 0
fi
echo "System libraries: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# The package lists of a fresh container may be absent; where they are there, they save the network.
apt-get install --yes --quiet --no-install-recommends "${missing[@]}" ||
    { apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends "${missing[@]}"; } ||
    echo "System libraries: ${missing[*]} could not be installed; the tests that need them will say so."

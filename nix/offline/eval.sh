#!/usr/bin/env bash
# Evaluates the flake without nixpkgs: nix/offline/eval.sh WORK
#   NIX_INPUTS   folder with checkouts of nix-community/nixpkgs.lib, ekala-project/corepkgs, ekala-project/nix-lib and ipetkov/crane
#                (at the commit of flake.lock), named nixpkgs.lib, corepkgs, nix-lib and crane
#   NIX          the program `nix`
# Prepares WORK and prints the arguments that point `nix` there.
set -euo pipefail
work=$1
repo=$(cd "$(dirname "$0")/../.." && pwd)
NIX=${NIX:-nix}
for part in nixpkgs.lib corepkgs nix-lib crane; do
    [[ -d $NIX_INPUTS/$part ]] || { echo "NIX_INPUTS=$NIX_INPUTS has no $part" >&2; exit 2; }
done
mkdir -p "$work/stub/checkouts" "$work/flake"
cp "$repo"/nix/offline/*.nix "$work/stub/"
if [[ ! -d $work/stub/checkouts/corepkgs ]]; then
    cp -r "$NIX_INPUTS"/{nixpkgs.lib,corepkgs} "$work/stub/checkouts/"
    cp -r "$NIX_INPUTS/nix-lib" "$work/stub/checkouts/corepkgs/nix-lib"
    chmod -R u+w "$work/stub"
    # Its pins would be fetched, and its lib lacks what it asks of it.
    echo '{ lib = ./nix-lib; }' > "$work/stub/checkouts/corepkgs/pins.nix"
    sed -i '0,/^{$/s//{\n  version = "26.05"; release = "26.05"; nixpkgsVersion = "26.05"; isInOldestRelease = _: true;/' \
        "$work/stub/checkouts/corepkgs/nix-lib/trivial.nix"
fi
# The flake's own files as they are, committed or not.
rm -rf "$work/flake"
mkdir "$work/flake"
(cd "$repo" && git ls-files -co --exclude-standard -z | while IFS= read -rd '' file; do
    [[ -e $file ]] && printf '%s\0' "$file"
done | tar --null -T - -cf -) | tar -x -C "$work/flake"
(cd "$work" && rm -rf source && cp -r "$NIX_INPUTS/crane" source && "$NIX" store add --name source ./source > "$work/crane.path")

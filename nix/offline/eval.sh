#!/usr/bin/env bash
# Evaluates the flake without nixpkgs, and compares what comes out with what is committed: nix/offline/eval.sh [--write] WORK
#   NIX_INPUTS   folder with checkouts of nix-community/nixpkgs.lib, ekala-project/corepkgs, ekala-project/nix-lib and ipetkov/crane
#                (at the commit of flake.lock), named nixpkgs.lib, corepkgs, nix-lib and crane
#   NIX          the program `nix`, 2.26 or newer
# Checked: every output of the flake (packages, checks, each node of each VM test) evaluates; the rendered units and configuration
# are vm-tests/golden and the option reference is docs/nixos-options.md (`--write`: they are written instead); and the
# controls: configurations that must be refused are, for the reason that they should be.
set -euo pipefail
write=
if [[ ${1:-} == --write ]]; then write=1; shift; fi
work=${1:?a folder to work in}
repo=$(cd "$(dirname "$0")/../.." && pwd)
NIX=${NIX:-nix}
: "${NIX_INPUTS:?a folder with checkouts of what the evaluation needs}"
for part in nixpkgs.lib corepkgs nix-lib crane; do
    [[ -d $NIX_INPUTS/$part ]] || { echo "NIX_INPUTS=$NIX_INPUTS has no $part" >&2; exit 2; }
done
mkdir -p "$work"
work=$(cd "$work" && pwd)

stub=$work/stub
mkdir -p "$stub/checkouts"
cp "$repo"/nix/offline/*.nix "$stub/"
if [[ ! -d $stub/checkouts/corepkgs ]]; then
    cp -r "$NIX_INPUTS"/{nixpkgs.lib,corepkgs} "$stub/checkouts/"
    cp -r "$NIX_INPUTS/nix-lib" "$stub/checkouts/corepkgs/nix-lib"
    chmod -R u+w "$stub"
    # Its pins would be fetched, and its lib lacks what it asks of it.
    echo '{ lib = ./nix-lib; }' > "$stub/checkouts/corepkgs/pins.nix"
    sed -i '0,/^{$/s//{\n  version = "26.05"; release = "26.05"; nixpkgsVersion = "26.05"; isInOldestRelease = _: true;/' \
        "$stub/checkouts/corepkgs/nix-lib/trivial.nix"
fi

# The flake's own files as they are, committed or not; git still lists one that was removed but not staged.
flake=$work/flake
rm -rf "$flake"
mkdir "$flake"
(cd "$repo" && git ls-files -co --exclude-standard -z | while IFS= read -rd '' file; do
    if [[ -e $file ]]; then printf '%s\0' "$file"; fi
done | tar --null -T - -cf -) | tar -x -C "$flake"
(cd "$work" && rm -rf source && cp -r "$NIX_INPUTS/crane" source && "$NIX" store add --name source ./source > /dev/null)

nix() { # VERB ARGUMENTS: on the flake, with the stand-in for nixpkgs
    local verb=$1
    shift
    "$NIX" $verb --offline --no-write-lock-file --override-input nixpkgs "path:$stub" "$@"
}

echo "evaluation: the whole flake"
nix "flake check" --no-build "path:$flake" 2> "$work/check.log" || { tail -40 "$work/check.log" >&2; exit 1; }

echo "evaluation: rendered units and options"
nix eval --json "path:$flake#rendered" > "$work/rendered.json" 2> "$work/rendered.log" || { cat "$work/rendered.log" >&2; exit 1; }
nix eval --raw "path:$flake#optionsDoc" > "$work/options.md" 2> "$work/options.log" || { cat "$work/options.log" >&2; exit 1; }
if [[ -n $write ]]; then
    python3 "$repo/vm-tests/golden.py" write "$work/rendered.json" "$repo/vm-tests/golden"
    cp "$work/options.md" "$repo/docs/nixos-options.md"
else
    python3 "$repo/vm-tests/golden.py" check "$work/rendered.json" "$repo/vm-tests/golden"
    diff "$repo/docs/nixos-options.md" "$work/options.md"
fi

refused() { # WHAT MODULE PATTERN: the host `single` with this module is refused, with a message that PATTERN describes
    local found
    if found=$(nix eval --raw "path:$flake#nixosConfigurations.single" \
        --apply "host: toString (host.extendModules { modules = [ ($2) ]; }).config.system.build.toplevel" 2>&1); then
        echo "control: $1 was accepted: $found" >&2
        exit 1
    fi
    grep -Eq "$3" <<< "$found" || { printf 'control: %s was refused for another reason:\n%s\n' "$1" "$found" >&2; exit 1; }
    echo "evaluation: $1: refused, as it should be"
}
accepted() { # WHAT MODULE
    nix eval --raw "path:$flake#nixosConfigurations.single" \
        --apply "host: toString (host.extendModules { modules = [ ($2) ]; }).config.system.build.toplevel" > "$work/control.log" 2>&1 ||
        { printf 'control: %s was refused:\n' "$1" >&2; cat "$work/control.log" >&2; exit 1; }
}
accepted "no change" '{}'
refused "a misspelt option" '{ services.ingot.house-keeper.diskLowGib = 3; }' 'diskLowGib.* does not exist'
refused "a port that is none" '{ services.ingot.house-keeper.listen = "127.0.0.1:99999"; }' '99999|port'
refused "a GPU without a graphics driver" '{ services.ingot.circuit-prover.gpu.enable = true; hardware.graphics.enable = false; }' 'hardware.graphics.enable'
echo "evaluation: passed"

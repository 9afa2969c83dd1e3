# The scenarios as NixOS tests, the hosts that they run on, and what is rendered of those.
{
  self,
  lib,
}: let
  system = "x86_64-linux";
  list = lib.importJSON ./scenarios.json;

  # Where the local harness puts executables: golden files name these paths.
  installed = name: set: {
    type = "derivation";
    name = "ingot";
    outPath = "/opt/${name}";
    circuitSet = set;
    components = ["house-keeper" "witness-generator" "witness-vector-generator" "circuit-prover" "gateway" "proof-data-handler"];
    meta.mainProgram =
      if set == "era"
      then "ingot-era"
      else if lib.hasPrefix "ingot-fake" name
      then "ingot-fake"
      else "ingot";
  };
  installedPackages = {
    prover = installed "ingot" "ledger";
    prover-era = installed "ingot-era" "era";
    fake = installed "ingot-fake" "ledger";
    fake-old = installed "ingot-fake-old" "ledger";
  };
  # The fake's protocol version is an argument.
  built = pkgs:
    self.packages.${system}
    // {
      fake-old =
        pkgs.writeShellScriptBin "ingot-fake" ''exec ${self.packages.${system}.fake}/bin/ingot-fake --version-served 0.98.0 "$@"''
        // {circuitSet = "ledger";};
    };

  names = map (lib.removeSuffix ".nix") (lib.filter (lib.hasSuffix ".nix") (lib.attrNames (builtins.readDir ./hosts)));
  host = packages: name: {imports = [self.nixosModules.default (import (./hosts + "/${name}.nix") {inherit self packages;})];};
  evaluate = packages: name:
    self.inputs.nixpkgs.lib.nixosSystem {
      inherit system;
      modules = [
        (host packages name)
        {
          networking.hostName = lib.mkDefault name;
          # Enough of a machine to be evaluated as one.
          boot.loader.grub.enable = false;
          fileSystems."/".device = "/dev/vda1";
          fileSystems."/".fsType = "ext4";
          system.stateVersion = "26.05";
          nixpkgs.config.allowUnfreePredicate = package:
            lib.elem (lib.getName package) ["nvidia-x11" "nvidia-settings" "nvidia-persistenced"];
        }
      ];
    };
  render = import ../nix/render.nix {inherit lib;};
in rec {
  hosts = lib.genAttrs names (evaluate (built self.inputs.nixpkgs.legacyPackages.${system}));
  rendered = lib.genAttrs names (name: render (evaluate installedPackages name).config);
  optionsDoc = import ../nix/options-doc.nix {inherit lib;} (evaluate installedPackages "single").options;

  # What is committed of this, compared; `.ci/nix` does the same without building anything.
  static = pkgs: {
    golden = pkgs.runCommand "ingot-golden" {
      all = builtins.toJSON rendered;
      doc = optionsDoc;
      passAsFile = ["all" "doc"];
      nativeBuildInputs = [pkgs.python3];
    } ''
      python3 ${./golden.py} check "$allPath" ${./golden}
      diff "$docPath" ${../docs/nixos-options.md}
      touch "$out"
    '';
  };

  scenarios = lib.mapAttrs (name: scenario: {pkgs, ...}: {
    inherit name;
    globalTimeout = 1800;
    nodes =
      lib.mapAttrs (_: hostName: {
        imports = [(host (built pkgs) hostName) ./nixos-test.nix];
      })
      scenario.nodes;
    testScript = builtins.readFile ./common.py + builtins.readFile (./scenarios + "/${name}.py");
  }) (lib.filterAttrs (_: scenario: !(scenario.local or false)) list);
}

{
  description = "Ingot: a bare-metal proving appliance for ZK rollups";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    crane.url = "github:ipetkov/crane";
  };

  outputs = {
    self,
    nixpkgs,
    crane,
  }: let
    inherit (nixpkgs) lib;
    # AVX2 and ADX are assumed, so x86-64 only.
    systems = ["x86_64-linux"];
    each = f: lib.genAttrs systems (system: f system nixpkgs.legacyPackages.${system});
    rust = pkgs: pkgs.callPackage ./nix/rust.nix {craneLib = crane.mkLib pkgs;};
    apps = pkgs:
      import ./nix/apps.nix {
        inherit (pkgs) writeShellApplication;
        inherit (self.packages.${pkgs.stdenv.hostPlatform.system}) prover;
      };
    tests = import ./vm-tests {inherit self lib;};
  in {
    packages = each (system: pkgs:
      (rust pkgs).packages
      // {
        default = self.packages.${system}.prover;
        inherit (apps pkgs) prover-cli;
      });

    # `nix run .#prover` without arguments is the demonstration.
    apps = each (_: pkgs:
      lib.mapAttrs (_: program: {
        type = "app";
        program = lib.getExe program;
        meta.description = program.meta.description;
      }) (
        apps pkgs
        // {default = (apps pkgs).prover;}
      ));

    overlays.default = final: _: {
      ingot = self.packages.${final.stdenv.hostPlatform.system}.prover;
      ingot-era = self.packages.${final.stdenv.hostPlatform.system}.prover-era;
    };

    nixosModules = {
      default = import ./nixos-modules self;
      single-node = {imports = [self.nixosModules.default ./nixos-modules/presets/single-node.nix];};
      gpu-node = {imports = [self.nixosModules.default ./nixos-modules/presets/gpu-node.nix];};
      cpu-node = {imports = [self.nixosModules.default ./nixos-modules/presets/cpu-node.nix];};
    };

    # Hosts as tests and readers see them; `rendered` is what vm-tests/golden has.
    nixosConfigurations = tests.hosts;
    rendered = tests.rendered;
    optionsDoc = tests.optionsDoc;

    checks = each (_: pkgs:
      (rust pkgs).checks
      // tests.static pkgs
      // lib.mapAttrs' (name: test: lib.nameValuePair "vm-${name}" (pkgs.testers.runNixOSTest test)) tests.scenarios);

    devShells = each (_: pkgs: {
      default = pkgs.mkShell {
        packages = with pkgs; [cargo rustc clippy rustfmt cargo-deny cargo-nextest alejandra deadnix];
        env.RUSTC_BOOTSTRAP = "1";
      };
    });

    formatter = each (_: pkgs: pkgs.alejandra);
  };
}

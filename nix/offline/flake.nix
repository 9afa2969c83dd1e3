# A stand-in for nixpkgs, to evaluate the flake where nixpkgs cannot be had: its real `lib`, a package set, and our own
# declarations of the NixOS options that our modules set. See eval.sh.
{
  outputs = _: let
    l = import ./checkouts/nixpkgs.lib/lib;
    packages = (import ./checkouts/corepkgs {system = "x86_64-linux";}).extend (import ./overlay.nix l);
    nixosSystem = args: let
      evaluated = l.evalModules {
        specialArgs = args.specialArgs or {};
        modules = [./nixos-stub.nix {_module.args.pkgs = l.mkDefault packages;}] ++ args.modules;
      };
    in
      evaluated // {pkgs = evaluated._module.args.pkgs;};
  in {
    lib = l.extend (_: _: {inherit nixosSystem;});
    legacyPackages.x86_64-linux = packages;
    nixosModules.stub = ./nixos-stub.nix;
  };
}

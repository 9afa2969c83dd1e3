# Everything under `services.ingot`. `self` is the flake: its packages are the defaults.
self: {
  # Presets import this as well: with a key it counts once.
  key = "ingot/nixos-modules";
  _file = ./default.nix;
  imports = [
    (import ./host.nix self)
    ./instances.nix
    ./config-files.nix
    ./memory.nix
    ./house-keeper.nix
    ./witness-generator.nix
    ./witness-vector-generator.nix
    ./circuit-prover.nix
    ./keygen.nix
    ./proof-compressor.nix
    ./gateway.nix
    ./proof-data-handler.nix
    ./core.nix
    ./cluster.nix
    ./firewall.nix
    ./monitoring.nix
  ];
}

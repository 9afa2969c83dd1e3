# Ports are opened only where asked for, and only on the interfaces that are named.
{
  config,
  lib,
  ...
}: let
  ingot = import ./lib.nix {inherit config lib;};
  inherit (ingot) cfg;
  open =
    lib.optionals (cfg.house-keeper.enable && cfg.house-keeper.openFirewall) cfg.house-keeper.listen
    ++ lib.concatMap (instance: lib.optional instance.circuit-prover.openFirewall instance.circuit-prover.listen) (
      ingot.having "circuit-prover"
    )
    ++ lib.optionals (cfg.proof-data-handler.enable && cfg.proof-data-handler.openFirewall) (
      [cfg.proof-data-handler.listen] ++ lib.optional (cfg.proof-data-handler.external != null) cfg.proof-data-handler.external
    );
  ports = lib.unique (map ingot.addressPort (lib.filter (address: !ingot.isLoopback address) open));

  # Everything that listens on a fixed port, by unit.
  listeners = let
    http = component: instance:
      lib.optional (instance.${component}.http != null) {
        what = ingot.unitName component instance;
        address = instance.${component}.http;
      };
    of = what: map (address: {inherit what address;});
  in
    lib.concatMap (component: lib.concatMap (http component) (ingot.having component)) [
      "witness-generator"
      "witness-vector-generator"
      "circuit-prover"
      "proof-compressor"
    ]
    ++ lib.concatMap (instance: of "${ingot.unitName "circuit-prover" instance} (listen)" [instance.circuit-prover.listen]) (
      ingot.having "circuit-prover"
    )
    ++ lib.optionals cfg.house-keeper.enable (
      http "house-keeper" (lib.head ingot.instances) ++ of "ingot-house-keeper (listen)" cfg.house-keeper.listen
    )
    ++ lib.optionals cfg.gateway.enable (http "gateway" (lib.head ingot.instances))
    ++ lib.optionals cfg.proof-data-handler.enable (
      of "ingot-proof-data-handler" (
        [cfg.proof-data-handler.listen]
        ++ lib.optional (cfg.proof-data-handler.external != null) cfg.proof-data-handler.external
      )
    );
  fixed = lib.filter (listener: ingot.addressPort listener.address != 0) listeners;
  clashes = lib.filter (group: lib.length group > 1) (lib.attrValues (lib.groupBy (listener: listener.address) fixed));
  beyond = lib.filter (listener: ingot.addressPort listener.address > 65535) listeners;
in {
  options.services.ingot.firewallInterfaces = lib.mkOption {
    type = lib.types.listOf lib.types.str;
    default = [];
    example = ["ingot"];
    description = "Interfaces on which `openFirewall` opens ports; empty: all.";
  };
  config = {
    assertions =
      map (group: {
        assertion = false;
        message = "services.ingot: ${lib.concatMapStringsSep " and " (listener: listener.what) group} both listen on ${(lib.head group).address}.";
      })
      clashes
      ++ map (listener: {
        assertion = false;
        message = "services.ingot: ${listener.what}: ${listener.address} has no port: expected 0 to 65535.";
      })
      beyond;
    networking.firewall = lib.mkIf (ports != []) (
      if cfg.firewallInterfaces == []
      then {allowedTCPPorts = ports;}
      else {interfaces = lib.genAttrs cfg.firewallInterfaces (_: {allowedTCPPorts = ports;});}
    );
  };
}

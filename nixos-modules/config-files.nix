# The configuration file of each instance, made of the options and checked by the executable that reads it.
{
  config,
  lib,
  pkgs,
  ...
}: let
  ingot = import ./lib.nix {inherit config lib;};
  inherit (ingot) cfg;
  hostName = config.networking.hostName;
  # Names that stay when a component is started again: the house keeper then knows at once what the process before held.
  stableName = component: instance: "${component}-${hostName}${ingot.suffix instance}";

  told = component: instance: own:
    if own != null
    then own
    else cfg.build.ram.${ingot.unitName component instance} or "auto";

  sections = instance: {
    host =
      {
        house-keeper = cfg.host.houseKeeper;
        inherit (cfg.host) zone group;
        state-dir = "/var/lib/${ingot.stateDirectory instance}";
        shared-artifacts =
          if ingot.sharesArtifacts
          then "/var/lib/ingot/house-keeper/artifacts"
          else null;
        artifact-cache = cfg.host.artifactCache;
        key-manifest = instance.keysManifest;
      }
      // cfg.host.settings;
    house-keeper = lib.optionalAttrs (instance.name == null && cfg.house-keeper.enable) (
      {
        folder = "/var/lib/ingot/house-keeper";
        socket = "/run/ingot/house-keeper.sock";
        inherit (cfg.house-keeper) listen http;
        disk-low-bytes = cfg.house-keeper.diskLowGiB * 1073741824;
        disk-high-bytes = cfg.house-keeper.diskHighGiB * 1073741824;
      }
      // cfg.house-keeper.settings
    );
    witness-generator = lib.optionalAttrs instance.witness-generator.enable (
      {
        name = stableName "witness-generator" instance;
        inherit (instance.witness-generator) rounds threads http;
      }
      // instance.witness-generator.settings
    );
    witness-vector-generator = lib.optionalAttrs instance.witness-vector-generator.enable (
      {
        name = stableName "witness-vector-generator" instance;
        inherit (instance.witness-vector-generator) threads http;
        ram = told "witness-vector-generator" instance instance.witness-vector-generator.ram;
        prover-on-this-host = instance.circuit-prover.enable && !instance.circuit-prover.gpu.enable;
      }
      // instance.witness-vector-generator.settings
    );
    circuit-prover = lib.optionalAttrs instance.circuit-prover.enable (
      {
        name = stableName "circuit-prover" instance;
        inherit (instance.circuit-prover) threads listen advertise slabs http;
        key-cache = told "circuit-prover" instance instance.circuit-prover.keyCache;
        key-disk = instance.circuit-prover.keyDisk;
      }
      // instance.circuit-prover.settings
    );
    proof-compressor =
      lib.optionalAttrs instance.proof-compressor.enable
      ({name = stableName "proof-compressor" instance;} // instance.proof-compressor.settings);
    gateway = lib.optionalAttrs (instance.name == null && cfg.gateway.enable) (
      {
        name = stableName "gateway" instance;
        inherit (cfg.gateway) core http;
        most-batches = cfg.gateway.mostBatches;
        in-order = cfg.gateway.inOrder;
      }
      // cfg.gateway.settings
    );
    proof-data-handler = lib.optionalAttrs (instance.name == null && cfg.proof-data-handler.enable) (
      {
        folder = "/var/lib/ingot/proof-data-handler";
        inherit (cfg.proof-data-handler) chain listen external;
        external-is-public = cfg.proof-data-handler.externalIsPublic;
      }
      // cfg.proof-data-handler.settings
    );
    core = lib.optionalAttrs (instance.name == null && cfg.core.enable) cfg.core.settings;
  };

  used = lib.filter (instance: instance.name != null || cfg.build.active) ingot.instances;

  checked = instance: name: text:
    pkgs.runCommand name {
      inherit text;
      passAsFile = ["text"];
    } ''
      cp "$textPath" "$out"
      ${instance.package}/bin/${ingot.executable instance} config --config "$out" > /dev/null
    '';
in {
  config = {
    services.ingot.build.configFiles = lib.listToAttrs (
      map (instance: lib.nameValuePair (baseNameOf (ingot.configFile instance)) (ingot.toTOML (sections instance))) used
    );
    environment.etc = lib.listToAttrs (
      map (instance: let
        name = baseNameOf (ingot.configFile instance);
      in
        lib.nameValuePair "ingot/${name}" {source = checked instance name cfg.build.configFiles.${name};})
      used
    );
  };
}

# The proof compressor: from the scheduler proof to a SNARK. A package says in `passthru.components` whether it has one.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkEnableOption;
  ingot = import ./lib.nix {inherit config lib;};
  inherit (ingot) hardening;
in {
  options.services.ingot = ingot.declare "proof-compressor" {
    enable = mkEnableOption "the proof compressor";
    gpu.enable = mkEnableOption "access to NVIDIA GPUs";
    http = ingot.httpOption null;
    memoryMax = ingot.memoryMaxOption;
    settings = ingot.settingsOption "proof-compressor";
  };

  config = {
    assertions = lib.concatMap (instance: [
      {
        assertion = lib.elem "proof-compressor" (instance.package.components or []);
        message = ''
          services.ingot: proof-compressor${ingot.suffix instance} is enabled, but the package ${instance.package.name or "that is set"} has
          no such component: this build ends with the scheduler proof.
        '';
      }
      {
        assertion = instance.proof-compressor.gpu.enable -> config.hardware.graphics.enable;
        message = "services.ingot: proof-compressor${ingot.suffix instance} is to use a GPU: that needs hardware.graphics.enable.";
      }
    ]) (ingot.having "proof-compressor");
    systemd.services = lib.mkMerge (
      map (instance: let
        gpu = instance.proof-compressor.gpu.enable;
      in
        ingot.service {
          component = "proof-compressor";
          inherit instance;
          description = "Ingot proof compressor";
          after = ingot.afterHouseKeeper;
          args = ingot.workerArgs;
          credentials = ingot.workerCredentials;
          environment = lib.optionalAttrs gpu {LD_LIBRARY_PATH = "/run/opengl-driver/lib";};
          relax = hardening.merge (
            [
              (ingot.network (!ingot.housekeeperIsLocal))
              {
                StateDirectory = ingot.workerStateDirectories instance;
                TimeoutStartSec = "infinity";
                OOMScoreAdjust = 300;
              }
            ]
            ++ lib.optional gpu hardening.gpu
          );
        })
      (ingot.having "proof-compressor")
    );
  };
}

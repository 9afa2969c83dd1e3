# The witness vector generator: synthesizes circuits and streams witness vectors to provers.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkOption mkEnableOption types;
  ingot = import ./lib.nix {inherit config lib;};
  inherit (ingot) cfg hardening;
in {
  options.services.ingot = ingot.declare "witness-vector-generator" {
    enable = mkEnableOption "the witness vector generator, which synthesizes circuits";
    threads = mkOption {
      type = types.ints.between 0 1024;
      default = 0;
      description = "Most circuits synthesized at once; 0: as many as there are processors.";
    };
    ram = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "64G";
      description = "Memory for synthesis; null: three quarters of its share of `services.ingot.ramGiB`, else `auto`.";
    };
    http = ingot.httpOption null;
    memoryMax = ingot.memoryMaxOption;
    settings = ingot.settingsOption "witness-vector-generator";
  };

  config.systemd.services = lib.mkMerge (
    map (instance:
      ingot.service {
        component = "witness-vector-generator";
        inherit instance;
        description = "Ingot witness vector generator";
        after = ingot.afterHouseKeeper;
        args = ingot.workerArgs;
        credentials = ingot.workerCredentials;
        relax = hardening.merge [
          # Provers may be on any node, even where the house keeper is here.
          (ingot.network (!ingot.housekeeperIsLocal || cfg.house-keeper.listen != []))
          hardening.streaming
          {
            StateDirectory = ingot.workerStateDirectories instance;
            OOMScoreAdjust = 300;
          }
        ];
      })
    (ingot.having "witness-vector-generator")
  );
}

# The witness generator: from batches and child proofs to circuit inputs.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkOption mkEnableOption types;
  ingot = import ./lib.nix {inherit config lib;};
  inherit (ingot) hardening;
in {
  options.services.ingot = ingot.declare "witness-generator" {
    enable = mkEnableOption "the witness generator, which makes circuit inputs";
    rounds = mkOption {
      type = types.nonEmptyListOf (types.ints.between 0 4);
      default = [0 1 2 3 4];
      description = "Aggregation rounds that it takes jobs of.";
    };
    threads = mkOption {
      type = types.ints.between 1 1024;
      default = 1;
      description = "Jobs at once.";
    };
    http = ingot.httpOption null;
    memoryMax = ingot.memoryMaxOption;
    settings = ingot.settingsOption "witness-generator";
  };

  config.systemd.services = lib.mkMerge (
    map (instance:
      ingot.service {
        component = "witness-generator";
        inherit instance;
        description = "Ingot witness generator";
        after = ingot.afterHouseKeeper;
        args = ingot.workerArgs;
        credentials = ingot.workerCredentials;
        relax = hardening.merge [
          (ingot.network (!ingot.housekeeperIsLocal))
          {
            StateDirectory = ingot.workerStateDirectories instance;
            OOMScoreAdjust = 200;
          }
        ];
      })
    (ingot.having "witness-generator")
  );
}

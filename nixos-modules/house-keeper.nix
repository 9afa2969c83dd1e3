# The house keeper: the one writer of the job store.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkOption mkEnableOption types;
  ingot = import ./lib.nix {inherit config lib;};
  inherit (ingot) cfg hardening;
  own = cfg.house-keeper;
  remote = lib.any (address: !ingot.isLoopback address) own.listen;
in {
  options.services.ingot.house-keeper = {
    enable = mkEnableOption "the house keeper, which owns the job store; one host of a deployment has it";
    listen = mkOption {
      type = types.listOf ingot.socketAddress;
      default = [];
      example = ["10.77.0.1:3310"];
      description = "Addresses for workers of other hosts. Other than loopback they need `services.ingot.host.tokenFile`.";
    };
    openFirewall = mkEnableOption "the ports of `listen` in the firewall";
    http = ingot.httpOption "127.0.0.1:3311";
    diskLowGiB = mkOption {
      type = types.ints.positive;
      default =
        if cfg.circuitSet == "era"
        then 10
        else 2;
      defaultText = lib.literalMD "2, or 10 for `era`";
      description = "No batch is taken while less of the disk is free.";
    };
    diskHighGiB = mkOption {
      type = types.ints.positive;
      default = 2 * own.diskLowGiB;
      defaultText = lib.literalMD "twice `diskLowGiB`";
      description = "Batches are taken again when this much is free.";
    };
    memoryMax = ingot.memoryMaxOption;
    settings = ingot.settingsOption "house-keeper";
  };

  config = lib.mkIf own.enable {
    assertions = [
      {
        assertion = remote -> cfg.host.tokenFile != null;
        message = ''
          services.ingot.house-keeper.listen has addresses beyond loopback (${toString own.listen}): services.ingot.host.tokenFile
          must name the file with the token that workers show.
        '';
      }
      {
        assertion = own.diskHighGiB >= own.diskLowGiB;
        message = "services.ingot.house-keeper.diskHighGiB = ${toString own.diskHighGiB} is less than diskLowGiB = ${toString own.diskLowGiB}.";
      }
    ];
    systemd.services = ingot.service {
      component = "house-keeper";
      instance = lib.head ingot.instances;
      description = "Ingot house keeper";
      watchdogSec = 30;
      args = lib.optional (cfg.host.tokenFile != null) "--set house-keeper.token-file=%d/token";
      credentials = ingot.workerCredentials;
      relax = hardening.merge [
        (ingot.network remote)
        {
          StateDirectory = ["ingot/house-keeper" "ingot/house-keeper/artifacts"];
          RuntimeDirectory = "ingot";
          RuntimeDirectoryMode = "0750";
          # If memory runs out, workers go first: what they hold is done again.
          OOMScoreAdjust = -500;
        }
      ];
    };
  };
}

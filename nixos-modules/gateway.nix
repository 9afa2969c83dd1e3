# The gateway: batches from a rollup's core to the house keeper, proofs back.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkOption mkEnableOption types;
  ingot = import ./lib.nix {inherit config lib;};
  inherit (ingot) cfg hardening;
  own = cfg.gateway;
  coreIsHere = lib.hasPrefix "http://127." own.core || lib.hasPrefix "http://[::1]" own.core;
in {
  options.services.ingot.gateway = {
    enable = mkEnableOption "the gateway between a rollup's core and the house keeper";
    core = mkOption {
      type = types.strMatching "https?://.+";
      default = "http://127.0.0.1:3320";
      description = "Where the core's proof data handler is.";
    };
    tokenFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "File with the secret that the core wants (`Authorization: Bearer`), readable by root only.";
    };
    mostBatches = mkOption {
      type = types.ints.positive;
      default = 16;
      description = "Batches taken and not yet delivered, at most.";
    };
    inOrder = mkOption {
      type = types.bool;
      default = true;
      description = "Whether proofs are sent in the order of their batches' numbers.";
    };
    http = ingot.httpOption null;
    memoryMax = ingot.memoryMaxOption;
    settings = ingot.settingsOption "gateway";
  };

  config = lib.mkIf own.enable {
    systemd.services = ingot.service {
      component = "gateway";
      instance = lib.head ingot.instances;
      description = "Ingot gateway";
      after = ingot.afterHouseKeeper;
      args = ingot.workerArgs ++ lib.optional (own.tokenFile != null) "--set gateway.token-file=%d/core-token";
      credentials =
        ingot.workerCredentials // lib.optionalAttrs (own.tokenFile != null) {core-token = own.tokenFile;};
      relax = hardening.merge [
        # The core is no node of ours, so `host.peers` says nothing about it.
        (
          if coreIsHere
          then ingot.network (!ingot.housekeeperIsLocal)
          else {RestrictAddressFamilies = ["AF_UNIX" "AF_INET" "AF_INET6"];}
        )
        {StateDirectory = ingot.workerStateDirectories (lib.head ingot.instances);}
      ];
    };
  };
}

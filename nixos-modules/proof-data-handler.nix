# The proof data handler: the core's side. It hands batches out, and takes a proof only if it verifies.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkOption mkEnableOption types;
  ingot = import ./lib.nix {inherit config lib;};
  inherit (ingot) cfg hardening;
  own = cfg.proof-data-handler;
  remote = !ingot.isLoopback own.listen || (own.external != null && !ingot.isLoopback own.external);
in {
  options.services.ingot.proof-data-handler = {
    enable = mkEnableOption "the proof data handler, on the core's host";
    chain = mkOption {
      type = types.ints.unsigned;
      default = 108039;
      description = "The chain whose batches it has.";
    };
    listen = mkOption {
      type = ingot.socketAddress;
      default = "127.0.0.1:3320";
      description = "Where core and gateways reach it.";
    };
    external = mkOption {
      type = types.nullOr ingot.socketAddress;
      default = null;
      example = "127.0.0.1:3073";
      description = "Where anybody who may prove or verify batches reaches it; null: nowhere.";
    };
    externalIsPublic = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the external API is open to all. It gives out witness inputs, and verifying costs time.";
    };
    openFirewall = mkEnableOption "the ports of `listen` and `external` in the firewall";
    tokenFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "File with the secret that peers show (`Authorization: Bearer`), readable by root only.";
    };
    memoryMax = ingot.memoryMaxOption;
    settings = ingot.settingsOption "proof-data-handler";
  };

  config = lib.mkIf own.enable {
    assertions = [
      {
        assertion = !ingot.isLoopback own.listen -> own.tokenFile != null;
        message = ''
          services.ingot.proof-data-handler.listen = "${own.listen}" is beyond loopback:
          services.ingot.proof-data-handler.tokenFile must name the secret that peers show.
        '';
      }
    ];
    systemd.services = ingot.service {
      component = "proof-data-handler";
      instance = lib.head ingot.instances;
      description = "Ingot proof data handler";
      args = lib.optional (own.tokenFile != null) "--set proof-data-handler.token-file=%d/token";
      credentials = lib.optionalAttrs (own.tokenFile != null) {token = own.tokenFile;};
      relax = hardening.merge [
        # Peers are cores and gateways, which `host.peers` says nothing about.
        (
          if remote
          then {RestrictAddressFamilies = ["AF_UNIX" "AF_INET" "AF_INET6"];}
          else ingot.network false
        )
        {StateDirectory = ["ingot/proof-data-handler" (ingot.stateDirectory (lib.head ingot.instances))];}
      ];
    };
  };
}

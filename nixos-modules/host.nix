# What all components of a host share.
self: {
  config,
  lib,
  pkgs,
  ...
}: let
  inherit (lib) mkOption types;
  ingot = import ./lib.nix {inherit config lib;};
  inherit (ingot) cfg;
  any = lib.any (component: ingot.having component != []) [
    "witness-generator"
    "witness-vector-generator"
    "circuit-prover"
    "keygen"
    "proof-compressor"
  ];
  active = any || cfg.house-keeper.enable || cfg.gateway.enable || cfg.proof-data-handler.enable || cfg.core.enable;
in {
  options.services.ingot = {
      circuitSet = mkOption {
        type = types.enum ["ledger" "era"];
        default = "ledger";
        description = "What is proved: batches of the ledger, Ingot's own small rollup, or of ZKsync Era.";
      };
      package = mkOption {
        type = types.package;
        default = let
          packages = self.packages.${pkgs.stdenv.hostPlatform.system};
        in
          if cfg.circuitSet == "era"
          then packages.prover-era
          else packages.prover;
        defaultText = lib.literalMD "the flake's `prover`, or `prover-era` where `circuitSet` is `\"era\"`";
        description = "The executable. Its `passthru.circuitSet` must be `circuitSet`.";
      };
      keysManifest = mkOption {
        type = types.nullOr (types.strMatching "[0-9a-f]{64}");
        default = null;
        example = "e51f0209bf218d36b93ad377ebeca4223ebff2cfb03245ad142cc55d4685f8d2";
        description = ''
          BLAKE3 of the key manifest, as `ingot info` prints it. With it, an executable that trusts other keys does not start:
          a change of keys is then a change of this line.
        '';
      };
      ramGiB = mkOption {
        type = types.nullOr types.ints.positive;
        default = null;
        example = 64;
        description = ''
          Memory for all of Ingot on this host, in GiB: what the slice may use, and what each component's share (`MemoryMax`,
          memory for synthesis, cache of setup keys) is computed from. Null: no bound, and `auto` sizes.
        '';
      };
      user = mkOption {
        type = types.str;
        default = "ingot";
        description = "User of all components.";
      };
      group = mkOption {
        type = types.str;
        default = "ingot";
        description = "Group of all components. Its members may use the house keeper's socket: operators.";
      };
      host = {
        houseKeeper = mkOption {
          type = types.strMatching "unix:/.+|tcp:.+:[0-9]+";
          default = "unix:/run/ingot/house-keeper.sock";
          example = "tcp:10.77.0.1:3310";
          description = "Where the house keeper is.";
        };
        tokenFile = mkOption {
          type = types.nullOr types.path;
          default = null;
          example = "/etc/secrets/ingot-token";
          description = ''
            File with the token that all nodes share: 16 random bytes or more, readable by root only. systemd hands it over
            (`LoadCredential`); it never lies in the store. Needed for anything but a Unix socket or loopback.
          '';
        };
        zone = mkOption {
          type = types.nullOr types.str;
          default = null;
          example = "rack-1";
          description = "Where this host stands: provers take witness vectors from their own zone.";
        };
        group = mkOption {
          type = types.nullOr types.ints.u8;
          default = null;
          description = "Prover group of this host's workers.";
        };
        artifactCache = mkOption {
          type = types.nullOr types.str;
          default = null;
          example = "4G";
          description = "Room for copies of artifacts that came over the connection.";
        };
        peers = mkOption {
          type = types.nullOr (types.listOf types.str);
          default = null;
          example = ["10.77.0.0/24"];
          description = ''
            Addresses beyond loopback that components may exchange packets with; null: any. `services.ingot.cluster` sets
            it to the addresses of its nodes.
          '';
        };
        settings = ingot.settingsOption "host";
      };
      build = {
        configFiles = mkOption {
          type = types.attrsOf types.str;
          internal = true;
          description = "Text of each configuration file.";
        };
        memory = mkOption {
          type = types.attrsOf types.str;
          internal = true;
          default = {};
          description = "`MemoryMax` by unit.";
        };
        ram = mkOption {
          type = types.attrsOf types.str;
          internal = true;
          default = {};
          description = "By unit, the part of its share that it is told of: for synthesis, setup keys, making keys.";
        };
        active = mkOption {
          type = types.bool;
          internal = true;
          default = active;
          description = "Whether anything of Ingot is enabled.";
        };
      };
    };

  config = lib.mkIf active {
    assertions = [
      {
        assertion = ingot.housekeeperIsLocal || lib.hasPrefix "tcp:127." cfg.host.houseKeeper || cfg.host.tokenFile != null;
        message = ''
          services.ingot.host.houseKeeper = "${cfg.host.houseKeeper}" is on another host: services.ingot.host.tokenFile must
          name the file with the token that both share.
        '';
      }
      {
        assertion = ingot.housekeeperIsLocal -> cfg.house-keeper.enable || !any;
        message = ''
          services.ingot: this host's workers look for a house keeper at ${cfg.host.houseKeeper}, but
          services.ingot.house-keeper.enable is false. Enable it, or name another host's in services.ingot.host.houseKeeper.
        '';
      }
    ];
    users.users = lib.mkIf (cfg.user == "ingot") {
      ingot = {
        isSystemUser = true;
        inherit (cfg) group;
        description = "Ingot proving appliance";
        home = "/var/lib/ingot";
      };
    };
    users.groups = lib.mkIf (cfg.group == "ingot") {ingot = {};};
    # The command line, with the configuration of this host.
    environment.systemPackages = [cfg.package];
    systemd.slices.ingot = {
      description = "Ingot proving appliance";
      sliceConfig =
        {
          CPUWeight = 100;
          IOWeight = 100;
        }
        // lib.optionalAttrs (cfg.ramGiB != null) {MemoryMax = "${toString cfg.ramGiB}G";};
    };
  };
}

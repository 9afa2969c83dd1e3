# The options of NixOS that our modules and tests set, with the names and types they have there, and nothing more. None of
# ours is inside a catch-all: a misspelt option has to fail.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkOption types;
  any = mkOption {
    type = types.anything;
    default = {};
  };
  strings = mkOption {
    type = types.listOf types.str;
    default = [];
  };
  bool = default:
    mkOption {
      type = types.bool;
      inherit default;
    };
  of = type: default: mkOption {inherit type default;};
  atom = types.nullOr (types.oneOf [types.bool types.int types.float types.str types.path types.package]);
  section = types.attrsOf (types.either atom (types.listOf atom));
  common = {
    enable = bool true;
    description = of types.singleLineStr "";
    documentation = strings;
    wantedBy = strings;
    requiredBy = strings;
    after = strings;
    before = strings;
    wants = strings;
    requires = strings;
    bindsTo = strings;
    partOf = strings;
    conflicts = strings;
    unitConfig = of section {};
    startLimitIntervalSec = of (types.nullOr types.int) null;
    startLimitBurst = of (types.nullOr types.int) null;
  };
  service = types.submodule {
    options =
      common
      // {
        environment = of (types.attrsOf (types.nullOr (types.oneOf [types.str types.path types.package]))) {};
        path = of (types.listOf (types.oneOf [types.package types.str])) [];
        script = of types.lines "";
        preStart = of types.lines "";
        restartIfChanged = bool true;
        restartTriggers = of (types.listOf types.unspecified) [];
        serviceConfig = of section {};
      };
  };
  slice = types.submodule {options = common // {sliceConfig = of section {};};};
  ports = {
    allowedTCPPorts = of (types.listOf types.port) [];
    allowedUDPPorts = of (types.listOf types.port) [];
  };
in {
  options = {
    assertions = of (types.listOf types.unspecified) [];
    warnings = strings;
    systemd.services = of (types.attrsOf service) {};
    systemd.slices = of (types.attrsOf slice) {};
    systemd.tmpfiles.rules = strings;
    users.users = of (types.attrsOf (types.submodule {
      options = {
        isSystemUser = bool false;
        group = of types.str "";
        extraGroups = strings;
        description = of types.str "";
        home = of types.path "/var/empty";
      };
    })) {};
    users.groups = of (types.attrsOf (types.submodule {options.members = strings;})) {};
    networking.hostName = of types.str "nixos";
    networking.firewall =
      ports
      // {
        enable = bool true;
        interfaces = of (types.attrsOf (types.submodule {options = ports;})) {};
      };
    networking.interfaces = any;
    networking.useDHCP = bool true;
    networking.wireguard.interfaces = of (types.attrsOf (types.submodule {
      options = {
        ips = strings;
        listenPort = of (types.nullOr types.port) null;
        privateKeyFile = of (types.nullOr types.str) null;
        peers = of (types.listOf (types.submodule {
          options = {
            publicKey = mkOption {type = types.singleLineStr;};
            allowedIPs = strings;
            endpoint = of (types.nullOr types.str) null;
            persistentKeepalive = of (types.nullOr types.int) null;
          };
        })) [];
      };
    })) {};
    environment.systemPackages = of (types.listOf types.package) [];
    environment.etc = of (types.attrsOf (types.submodule {
      options = {
        text = of (types.nullOr types.lines) null;
        source = of types.path "/dev/null";
        mode = of types.str "symlink";
        user = of types.str "+0";
      };
    })) {};
    hardware.graphics.enable = bool false;
    hardware.nvidia = {
      open = of (types.nullOr types.bool) null;
      nvidiaPersistenced = bool false;
    };
    services.xserver.videoDrivers = strings;
    services.prometheus = {
      enable = bool false;
      port = of types.port 9090;
      listenAddress = of types.str "0.0.0.0";
      ruleFiles = of (types.listOf types.path) [];
      scrapeConfigs = of (types.listOf (types.submodule {
        options = {
          job_name = mkOption {type = types.str;};
          static_configs = of (types.listOf (types.submodule {options.targets = strings;})) [];
        };
      })) [];
    };
    services.grafana = {
      enable = bool false;
      settings.server.http_addr = of types.str "127.0.0.1";
      provision = {
        enable = bool false;
        datasources.settings.datasources = of (types.listOf types.attrs) [];
        dashboards.settings.providers = of (types.listOf types.attrs) [];
      };
    };
    boot = any;
    virtualisation = any;
    fileSystems = any;
    nixpkgs.hostPlatform = of types.str "x86_64-linux";
    nixpkgs.config.allowUnfreePredicate = any;
    system.stateVersion = of types.str "26.05";
    system.build = of (types.lazyAttrsOf types.raw) {};
  };
  # Nobody builds it; it has every unit in it, so that each is evaluated. Assertions are checked here, as NixOS does: also
  # of a configuration that was extended.
  config.system.build.toplevel = let
    failed = map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
  in if failed != [] then throw "Failed assertions of ${config.networking.hostName}:\n${lib.concatMapStringsSep "\n" (message: "- ${message}") failed}" else derivation {
    name = "nixos-system-${config.networking.hostName}";
    system = "x86_64-linux";
    builder = "/bin/sh";
    units = builtins.unsafeDiscardStringContext (builtins.toJSON (lib.mapAttrs (_: unit: unit.serviceConfig) config.systemd.services));
  };
}

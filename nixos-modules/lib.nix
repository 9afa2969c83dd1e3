# What the component files share: how options are declared for the host and for its instances, and how a unit is made.
{
  config,
  lib,
}: let
  inherit (lib) mkOption types;
  cfg = config.services.ingot;
  hardening = import ./hardening.nix {inherit lib;};

  # The host itself is the instance without a name.
  instances =
    [(cfg // {name = null;})]
    ++ lib.mapAttrsToList (name: instance: instance // {inherit name;}) cfg.instances;

  suffix = instance: lib.optionalString (instance.name != null) "-${instance.name}";
in rec {
  inherit cfg hardening instances suffix;

  # The unit of a component of an instance, without `.service`.
  unitName = component: instance: "ingot-${component}${suffix instance}";

  # Instances in which a component is enabled.
  having = component: lib.filter (instance: instance.${component}.enable) instances;

  # A component's options, for the host and again for each instance.
  declare = component: options: {
    ${component} = options;
    instances = mkOption {
      type = types.attrsOf (types.submodule {options.${component} = options;});
    };
  };

  configFile = instance: "/etc/ingot/${
    if instance.name == null
    then "ingot"
    else instance.name
  }.toml";

  stateDirectory = instance:
    if instance.name == null
    then "ingot/workers"
    else "ingot/instances/${instance.name}";

  # Scalars and lists of them: all that the configuration has.
  tomlValue = with types; let
    scalar = oneOf [bool int str];
  in
    either scalar (listOf scalar);

  toTOML = sections: let
    inline = value:
      if lib.isList value
      then "[${lib.concatMapStringsSep ", " inline value}]"
      else builtins.toJSON value;
    pairs = lib.mapAttrsToList (key: value: "${key} = ${inline value}\n");
    section = name: values: "[${name}]\n${lib.concatStrings (pairs values)}";
    present = lib.filterAttrs (_: values: values != {}) (
      lib.mapAttrs (_: lib.filterAttrs (_: value: value != null)) sections
    );
  in
    lib.concatStringsSep "\n" (lib.mapAttrsToList section present);

  # The host's part and the port of `10.0.0.1:3316` or `[::1]:3316`.
  addressPort = address: lib.toInt (lib.last (lib.splitString ":" address));
  addressHost = address: lib.concatStringsSep ":" (lib.init (lib.splitString ":" address));
  isLoopback = address: lib.hasPrefix "127." address || lib.hasPrefix "[::1]" address;

  socketAddress =
    types.strMatching "([0-9]{1,3}(\\.[0-9]{1,3}){3}|\\[[0-9a-fA-F:]+]):[0-9]{1,5}"
    // {description = "IP address and port, such as 127.0.0.1:3316";};

  httpOption = port:
    mkOption {
      type = types.nullOr socketAddress;
      default = port;
      example = "127.0.0.1:3311";
      description = "Loopback address for health and metrics; null serves none.";
    };

  settingsOption = section:
    mkOption {
      type = types.attrsOf tomlValue;
      default = {};
      description = ''
        Further keys of the section `${section}` of the configuration file, over what the options here say. The file is
        checked by `ingot config` when the system is built, so a key that does not exist fails there.
      '';
    };

  memoryMaxOption = mkOption {
    type = types.nullOr types.str;
    default = null;
    example = "16G";
    description = "`MemoryMax` of the unit; null: its share of `services.ingot.ramGiB`, if that is set.";
  };

  # A component that runs until it is stopped. `relax` is laid over the hardening; `credentials` are files by name, which
  # the arguments name as `%d/NAME`.
  service = {
    component,
    instance,
    description,
    watchdogSec ? 60,
    after ? [],
    requires ? [],
    args ? [],
    credentials ? {},
    relax ? {},
    environment ? {},
    unit ? {},
  }: let
    memory = cfg.build.memory.${unitName component instance} or null;
  in {
    ${unitName component instance} =
      lib.recursiveUpdate {
        inherit description environment requires;
        wantedBy = ["multi-user.target"];
        wants = ["network-online.target"];
        after = ["network-online.target"] ++ after;
        restartTriggers = [cfg.build.configFiles.${baseNameOf (configFile instance)}];
        startLimitIntervalSec = 0;
        serviceConfig =
          hardening.base
          // {
            Type = "notify";
            NotifyAccess = "main";
            WatchdogSec = watchdogSec;
            ExecStart = lib.concatStringsSep " " (
              ["${instance.package}/bin/${executable instance}" component "--config ${configFile instance}"] ++ args
            );
            User = cfg.user;
            Group = cfg.group;
            Slice = "ingot.slice";
            # Anything but a clean stop is started again, soon at first; a wrong configuration (78) is not.
            Restart = "on-failure";
            RestartPreventExitStatus = 78;
            RestartSec = "1s";
            RestartSteps = 6;
            RestartMaxDelaySec = "30s";
            TimeoutStopSec = "60s";
            LimitNOFILE = 65536;
          }
          // lib.optionalAttrs (credentials != {}) {
            LoadCredential = lib.mapAttrsToList (name: file: "${name}:${toString file}") credentials;
          }
          // lib.optionalAttrs (memory != null) {MemoryMax = memory;}
          // relax;
      }
      unit;
  };

  executable = instance: instance.package.meta.mainProgram or "ingot";

  # What a worker needs beyond its own options: the token, and the artifacts if it shares the house keeper's disk.
  workerCredentials = lib.optionalAttrs (cfg.host.tokenFile != null) {token = cfg.host.tokenFile;};
  workerArgs = lib.optional (cfg.host.tokenFile != null) "--set host.token-file=%d/token";
  workerStateDirectories = instance:
    [(stateDirectory instance)] ++ lib.optional sharesArtifacts "ingot/house-keeper/artifacts";
  sharesArtifacts = cfg.house-keeper.enable;

  # Whether a component meets others over the network at all.
  housekeeperIsLocal = lib.hasPrefix "unix:" cfg.host.houseKeeper;
  afterHouseKeeper = lib.optional cfg.house-keeper.enable "ingot-house-keeper.service";

  # Addresses a unit may talk to. Only loopback, unless something of it is elsewhere.
  network = remote:
    if remote
    then
      {RestrictAddressFamilies = ["AF_UNIX" "AF_INET" "AF_INET6"];}
      // (
        if cfg.host.peers == null
        then {}
        else {
          IPAddressDeny = "any";
          IPAddressAllow = ["localhost"] ++ cfg.host.peers;
        }
      )
    else {
      RestrictAddressFamilies = ["AF_UNIX" "AF_INET" "AF_INET6"];
      IPAddressDeny = "any";
      IPAddressAllow = ["localhost"];
    };
}

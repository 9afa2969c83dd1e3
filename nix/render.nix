# What our modules make of a host, as text: units, configuration files, and the rest as one JSON file. The local test harness
# installs these on Debian; committed in vm-tests/golden, they show what a change to a module changes.
{lib}: config: let
  ours = lib.filterAttrs (name: _: lib.hasPrefix "ingot" name);
  value = v:
    if v == true
    then "true"
    else if v == false
    then "false"
    else toString v;
  section = name: values: let
    lines = key: v:
      if v == null || v == [] || v == ""
      # An empty value is one: `CapabilityBoundingSet=`.
      then lib.optional (v == "") "${key}="
      else map (one: "${key}=${value one}") (lib.toList v);
    all = lib.concatLists (lib.mapAttrsToList lines values);
  in
    lib.optionalString (all != []) "[${name}]\n${lib.concatStringsSep "\n" all}\n";
  words = list:
    if list == []
    then null
    else lib.concatStringsSep " " list;
  environment = variables:
    lib.mapAttrsToList (name: text: "\"${name}=${toString text}\"") (
      # NixOS adds these to every unit.
      removeAttrs (lib.filterAttrs (_: text: text != null) variables) ["PATH" "LOCALE_ARCHIVE" "TZDIR"]
    );
  head = unit: {
    Description = unit.description;
    After = words unit.after;
    Wants = words unit.wants;
    Requires = words unit.requires;
    StartLimitIntervalSec = unit.startLimitIntervalSec or null;
  };
  service = unit:
    lib.concatStringsSep "\n" (lib.filter (text: text != "") [
      (section "Unit" (head unit))
      (section "Service" ({Environment = environment unit.environment;} // unit.serviceConfig))
      (section "Install" {WantedBy = words unit.wantedBy;})
    ]);
  slice = unit:
    lib.concatStringsSep "\n" [
      (section "Unit" {Description = unit.description;})
      (section "Slice" unit.sliceConfig)
    ];
  only = names: lib.filterAttrs (name: _: lib.elem name names);
  # What is neither a unit nor a configuration file.
  rest = {
    users = lib.mapAttrs (_: only ["group" "home" "isSystemUser"]) (ours config.users.users);
    firewall = {
      inherit (config.networking.firewall) allowedTCPPorts allowedUDPPorts;
      interfaces = lib.mapAttrs (_: only ["allowedTCPPorts" "allowedUDPPorts"]) config.networking.firewall.interfaces;
    };
    wireguard =
      lib.mapAttrs (_: interface:
        only ["ips" "listenPort" "privateKeyFile"] interface
        // {peers = map (only ["publicKey" "allowedIPs" "endpoint" "persistentKeepalive"]) interface.peers;})
      (config.networking.wireguard.interfaces or {});
    prometheus = lib.optionals config.services.prometheus.enable (
      map (job: {
        job = job.job_name;
        targets = lib.concatMap (one: one.targets) job.static_configs;
      })
      config.services.prometheus.scrapeConfigs
    );
    grafana = config.services.grafana.enable;
    graphics = config.hardware.graphics.enable;
  };
in
  lib.mapAttrs' (name: unit: lib.nameValuePair "system/${name}.service" (service unit)) (ours config.systemd.services)
  // lib.mapAttrs' (name: unit: lib.nameValuePair "system/${name}.slice" (slice unit)) (ours config.systemd.slices)
  // lib.mapAttrs' (name: text: lib.nameValuePair "etc/ingot/${name}" text) config.services.ingot.build.configFiles
  // {"host.json" = builtins.toJSON rest;}

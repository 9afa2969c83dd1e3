# A core of the ledger: seals batches and hands them to the proof data handler. A package says in `passthru.components`
# whether it has one.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkEnableOption;
  ingot = import ./lib.nix {inherit config lib;};
  inherit (ingot) cfg;
in {
  options.services.ingot.core = {
    enable = mkEnableOption "a core of the ledger";
    memoryMax = ingot.memoryMaxOption;
    settings = ingot.settingsOption "core";
  };

  config = lib.mkIf cfg.core.enable {
    assertions = [
      {
        assertion = lib.elem "core" (cfg.package.components or []);
        message = "services.ingot.core is enabled, but the package ${cfg.package.name or "that is set"} has no such component.";
      }
    ];
    systemd.services = ingot.service {
      component = "core";
      instance = lib.head ingot.instances;
      description = "Core of a ledger";
      relax = ingot.network false // {StateDirectory = "ingot/core";};
    };
  };
}

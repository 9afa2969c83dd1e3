# Protocol versions side by side: each instance has its own executable, keys and workers; the house keeper is one.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkOption types;
  ingot = import ./lib.nix {inherit config lib;};
  shape = types.attrsOf (types.submodule {
    options = {
      package = mkOption {
        type = types.package;
        default = config.services.ingot.package;
        defaultText = lib.literalExpression "config.services.ingot.package";
        description = "The executable of this version.";
      };
      circuitSet = mkOption {
        type = types.enum ["ledger" "era"];
        default = config.services.ingot.circuitSet;
        defaultText = lib.literalExpression "config.services.ingot.circuitSet";
        description = "What is proved.";
      };
      keysManifest = mkOption {
        type = types.nullOr (types.strMatching "[0-9a-f]{64}");
        default = null;
        description = "BLAKE3 of this version's key manifest, as its `ingot info` prints it.";
      };
    };
  });
in {
  options.services.ingot.instances = mkOption {
    type = shape;
    default = {};
    example = lib.literalExpression ''
      { old = { package = inputs.ingot-old.packages.x86_64-linux.prover; circuit-prover.enable = true; }; }
    '';
    description = ''
      Workers of further protocol versions, with the same options as the host's own. Units are named
      `ingot-COMPONENT-NAME`, state is in `/var/lib/ingot/instances/NAME`.
    '';
  };
  config.assertions =
    lib.concatMap (instance: let
      which =
        if instance.name == null
        then "services.ingot"
        else "services.ingot.instances.${instance.name}";
      brought = instance.package.circuitSet or instance.circuitSet;
    in [
      {
        assertion = brought == instance.circuitSet;
        message = ''
          ${which}.circuitSet is "${instance.circuitSet}", but ${which}.package proves "${brought}".
        '';
      }
      {
        assertion = instance.name == null || builtins.match "[a-z0-9][a-z0-9-]*" instance.name != null;
        message = "${which}: the name becomes part of unit names: only a-z, 0-9 and - can be in it.";
      }
      {
        assertion = instance.name != "ingot";
        message = "${which}: that name is taken by the host itself.";
      }
    ])
    ingot.instances;
}

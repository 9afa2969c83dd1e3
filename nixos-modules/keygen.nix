# Setup keys, made (or copied from elsewhere and compared) before the prover starts.
{
  config,
  lib,
  pkgs,
  ...
}: let
  inherit (lib) mkOption mkEnableOption types;
  ingot = import ./lib.nix {inherit config lib;};
  inherit (ingot) cfg hardening;
in {
  options.services.ingot = ingot.declare "keygen" {
    enable = mkEnableOption ''
      making setup keys before the circuit prover starts. The ledger's prover needs it; Era's makes each key when it is first
      needed, unless `circuits` names some to make beforehand'';
    circuits = mkOption {
      type = types.listOf (types.strMatching "[0-4]:[0-9]+");
      default = [];
      example = ["0:1" "4:1"];
      description = "Circuits, as round:id, where not all are made.";
    };
    copyFrom = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "rsync://10.77.0.1/ingot-keys/";
      description = ''
        Where keys are copied from first: a folder, or what rsync takes. Nothing is trusted: each file is compared with the
        key manifest's hash, and made here if it differs.
      '';
    };
  };

  config = {
    assertions =
      map (instance: {
        assertion = instance.circuitSet == "era" -> instance.keygen.circuits != [];
        message = ''
          services.ingot: keygen${ingot.suffix instance} would make all of Era's keys, more than 100 GB. The prover makes them when
          they are needed; to make some beforehand name them in keygen.circuits.
        '';
      }) (ingot.having "keygen");
    systemd.services = lib.mkMerge (
      map (instance: let
        own = instance.keygen;
        state = "/var/lib/${ingot.stateDirectory instance}";
        ram = cfg.build.ram.${ingot.unitName "keygen" instance} or null;
        local = own.copyFrom != null && lib.hasPrefix "/" own.copyFrom;
        name = ingot.unitName "keygen" instance;
        unit = ingot.service {
          component = "keygen";
          inherit instance;
          description = "Ingot setup keys";
          relax = hardening.merge [
            (
              if own.copyFrom == null || local
              then {
                PrivateNetwork = true;
                RestrictAddressFamilies = ["AF_UNIX"];
                IPAddressDeny = "any";
              }
              else ingot.network true
            )
            {
              Type = "oneshot";
              RemainAfterExit = true;
              TimeoutStartSec = "infinity";
              StateDirectory = ingot.stateDirectory instance;
              ExecStartPre =
                lib.optional (own.copyFrom != null)
                "-${pkgs.rsync}/bin/rsync --recursive --times ${lib.escapeShellArg own.copyFrom}/ ${state}/keys/";
              ExecStart = lib.concatStringsSep " " (
                ["${instance.package}/bin/${ingot.executable instance}" "keygen --dir ${state}"]
                ++ lib.optional (ram != null) "--max-ram ${ram}"
                ++ lib.optional (own.circuits != []) "--circuit ${lib.concatStringsSep "," own.circuits}"
              );
              Nice = 5;
            }
          ];
        };
      in {
        ${name} =
          unit.${name}
          // {
            serviceConfig = removeAttrs unit.${name}.serviceConfig ["WatchdogSec" "NotifyAccess"];
          };
      })
      (ingot.having "keygen")
    );
  };
}

# The circuit prover: receives witness vectors and proves, on the processors or on a GPU.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkOption mkEnableOption types;
  ingot = import ./lib.nix {inherit config lib;};
  inherit (ingot) hardening;
  remote = instance: !ingot.isLoopback instance.circuit-prover.listen;
in {
  options.services.ingot = ingot.declare "circuit-prover" {
    enable = mkEnableOption "the circuit prover";
    threads = mkOption {
      type = types.ints.between 0 1024;
      default = 0;
      description = "Threads of one proof; 0: as many as there are processors.";
    };
    listen = mkOption {
      type = ingot.socketAddress;
      default = "127.0.0.1:0";
      example = "10.77.0.2:3316";
      description = "Where witness vectors are received; port 0 picks a free one.";
    };
    advertise = mkOption {
      type = types.listOf ingot.socketAddress;
      default = [];
      description = "Addresses that senders are told; empty: where it listens.";
    };
    openFirewall = mkEnableOption "the port of `listen` in the firewall";
    slabs = mkOption {
      type = types.ints.between 1 1024;
      default = 2;
      description = "Witness vectors that fit in memory: one is proved, the others wait or arrive.";
    };
    keyCache = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "8G";
      description = "Memory for setup keys; null: what its share of `services.ingot.ramGiB` leaves, else `auto`.";
    };
    keyDisk = mkOption {
      type = types.str;
      default = "auto";
      example = "120G";
      description = "Disk for setup keys that are made when they are needed; `auto`: three quarters of what is free.";
    };
    gpu = {
      enable = mkEnableOption "access to NVIDIA GPUs";
      visibleDevices = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "GPU-5a3e4f6c";
        description = "GPUs that this prover sees, by number or UUID (`CUDA_VISIBLE_DEVICES`); null: all.";
      };
    };
    http = ingot.httpOption null;
    memoryMax = ingot.memoryMaxOption;
    settings = ingot.settingsOption "circuit-prover";
  };

  config = {
    assertions = lib.concatMap (instance: let
      own = instance.circuit-prover;
      which = "circuit-prover${ingot.suffix instance}";
    in [
      {
        assertion = own.gpu.enable -> config.hardware.graphics.enable;
        message = ''
          services.ingot: ${which} is to use a GPU (gpu.enable), but hardware.graphics.enable is false: without it there is no
          /run/opengl-driver, and so no libcuda.so. The preset `gpu-node` sets what is needed.
        '';
      }
      {
        assertion = remote instance -> ingot.addressPort own.listen != 0;
        message = "services.ingot: ${which} listens on ${own.listen}: beyond loopback it needs a fixed port, such as 3316.";
      }
      {
        assertion = remote instance -> ingot.cfg.host.tokenFile != null;
        message = "services.ingot: ${which} listens on ${own.listen}: beyond loopback it needs services.ingot.host.tokenFile.";
      }
    ]) (ingot.having "circuit-prover");

    systemd.services = lib.mkMerge (
      map (instance: let
        own = instance.circuit-prover;
        keygen = lib.optional instance.keygen.enable "${ingot.unitName "keygen" instance}.service";
      in
        ingot.service {
          component = "circuit-prover";
          inherit instance;
          description = "Ingot circuit prover";
          after = ingot.afterHouseKeeper ++ keygen;
          requires = keygen;
          args = ingot.workerArgs;
          credentials = ingot.workerCredentials;
          environment =
            lib.optionalAttrs own.gpu.enable {LD_LIBRARY_PATH = "/run/opengl-driver/lib";}
            // lib.optionalAttrs (own.gpu.visibleDevices != null) {CUDA_VISIBLE_DEVICES = own.gpu.visibleDevices;};
          relax = hardening.merge (
            [
              (ingot.network (!ingot.housekeeperIsLocal || remote instance))
              hardening.streaming
              {
                StateDirectory = ingot.workerStateDirectories instance;
                # Without its keys it is not ready, and says which it waits for.
                TimeoutStartSec = "infinity";
                OOMScoreAdjust = 300;
              }
            ]
            ++ lib.optional own.gpu.enable hardening.gpu
          );
        })
      (ingot.having "circuit-prover")
    );
  };
}

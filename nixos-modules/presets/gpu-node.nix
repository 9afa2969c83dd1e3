# A host with NVIDIA GPUs that synthesizes and proves. The house keeper is elsewhere (`services.ingot.cluster`), or here beside
# it with the preset `single-node`.
{
  config,
  lib,
  ...
}: {
  services.ingot = {
    witness-vector-generator = {
      enable = lib.mkDefault true;
      http = lib.mkDefault "127.0.0.1:3313";
    };
    circuit-prover = {
      enable = lib.mkDefault true;
      gpu.enable = true;
      http = lib.mkDefault "127.0.0.1:3314";
    };
    keygen.enable = lib.mkDefault (config.services.ingot.circuitSet == "ledger");
  };
  hardware.graphics.enable = lib.mkDefault true;
  services.xserver.videoDrivers = lib.mkDefault ["nvidia"];
  hardware.nvidia = {
    open = lib.mkDefault true;
    # Without a display nothing else keeps the driver loaded.
    nvidiaPersistenced = lib.mkDefault true;
  };
}

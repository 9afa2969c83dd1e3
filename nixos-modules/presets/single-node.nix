# One host that proves everything. Set `services.ingot.ramGiB`.
{
  config,
  lib,
  ...
}: let
  ledger = config.services.ingot.circuitSet == "ledger";
in {
  services.ingot = {
    house-keeper.enable = lib.mkDefault true;
    witness-generator = {
      enable = lib.mkDefault true;
      http = lib.mkDefault "127.0.0.1:3312";
    };
    witness-vector-generator = {
      enable = lib.mkDefault true;
      http = lib.mkDefault "127.0.0.1:3313";
    };
    circuit-prover = {
      enable = lib.mkDefault true;
      http = lib.mkDefault "127.0.0.1:3314";
      slabs = lib.mkIf (!ledger) (lib.mkDefault 1);
    };
    keygen.enable = lib.mkDefault ledger;
  };
}

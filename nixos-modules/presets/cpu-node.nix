# A host without a GPU that makes witnesses for provers elsewhere.
{lib, ...}: {
  services.ingot = {
    witness-generator = {
      enable = lib.mkDefault true;
      http = lib.mkDefault "127.0.0.1:3312";
    };
    witness-vector-generator = {
      enable = lib.mkDefault true;
      http = lib.mkDefault "127.0.0.1:3313";
    };
  };
}

# An old and a new protocol version, side by side under one house keeper.
{
  self,
  packages,
}: {
  imports = [self.nixosModules.single-node];
  services.ingot = {
    package = packages.fake;
    ramGiB = 8;
    keygen.enable = false;
    instances.old = {
      package = packages.fake-old;
      witness-generator.enable = true;
      witness-vector-generator.enable = true;
      circuit-prover.enable = true;
    };
  };
}

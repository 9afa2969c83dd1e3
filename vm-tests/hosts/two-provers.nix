# Two provers of one version on one host: what one leaves, the other takes.
{
  self,
  packages,
}: {
  imports = [(import ./fake.nix {inherit self packages;})];
  services.ingot.instances.second = {
    package = packages.fake;
    circuit-prover.enable = true;
  };
}

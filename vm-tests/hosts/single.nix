# One host that proves the ledger, with its figures watched: what the README's block makes.
{
  self,
  packages,
}: {
  imports = [self.nixosModules.single-node];
  services.ingot = {
    package = packages.prover;
    ramGiB = 8;
    keysManifest = "e51f0209bf218d36b93ad377ebeca4223ebff2cfb03245ad142cc55d4685f8d2";
    monitoring.prometheus.enable = true;
    monitoring.grafana.enable = true;
  };
}

# Of a cluster over fake work: the prover.
{
  self,
  packages,
}: {
  imports = [self.nixosModules.default ../parts/cluster.nix];
  networking.hostName = "worker";
  services.ingot = {
    package = packages.fake;
    ramGiB = 2;
    circuit-prover = {
      enable = true;
      http = "127.0.0.1:3314";
    };
    host.settings.heartbeat-ms = 500;
  };
}

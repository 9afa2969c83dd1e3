# Of a cluster over fake work: the house keeper, and witness generation.
{
  self,
  packages,
}: {
  imports = [self.nixosModules.cpu-node ../parts/cluster.nix];
  networking.hostName = "keeper";
  services.ingot = {
    package = packages.fake;
    ramGiB = 3;
    house-keeper.settings = {
      lease-ttl-ms = 3000;
      disk-low-bytes = 67108864;
      disk-high-bytes = 100663296;
    };
    host.settings.heartbeat-ms = 500;
  };
}

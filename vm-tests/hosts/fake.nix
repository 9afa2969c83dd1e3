# One host over fake work, small enough for an emulated machine: for what happens around proving.
{
  self,
  packages,
}: {
  imports = [self.nixosModules.single-node];
  services.ingot = {
    package = packages.fake;
    ramGiB = 6;
    keygen.enable = false;
    house-keeper.settings = {
      # Tests wait for leases, and fill small disks.
      lease-ttl-ms = 3000;
      disk-low-bytes = 67108864;
      disk-high-bytes = 100663296;
    };
    host.settings.heartbeat-ms = 500;
  };
}

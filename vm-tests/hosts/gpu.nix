# A GPU node of an Era cluster, over WireGuard. Rendered and checked; nothing here can run it.
{
  self,
  packages,
}: {
  imports = [self.nixosModules.gpu-node];
  networking.hostName = "gpu-1";
  services.ingot = {
    package = packages.prover-era;
    circuitSet = "era";
    ramGiB = 112;
    host.tokenFile = "/etc/secrets/ingot-token";
    cluster = {
      enable = true;
      nodes = {
        keeper = {
          address = "10.77.0.1";
          houseKeeper = true;
          wireguard.publicKey = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
          wireguard.endpoint = "192.0.2.1:51820";
        };
        gpu-1 = {
          address = "10.77.0.2";
          wireguard.publicKey = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=";
        };
      };
      wireguard = {
        enable = true;
        privateKeyFile = "/etc/secrets/wireguard";
      };
    };
  };
}

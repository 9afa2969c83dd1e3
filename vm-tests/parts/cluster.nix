# The two nodes of a cluster: the same on both, each knows itself by its name.
{
  services.ingot = {
    host.tokenFile = "/etc/ingot/token";
    cluster = {
      enable = true;
      nodes = {
        keeper = {
          address = "192.168.1.1";
          houseKeeper = true;
        };
        worker.address = "192.168.1.2";
      };
    };
  };
}

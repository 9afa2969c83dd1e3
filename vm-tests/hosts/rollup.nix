# One host with a rollup's core side and prover side: batches come in over HTTP, and proofs go back.
{
  self,
  packages,
}: {
  imports = [self.nixosModules.single-node];
  services.ingot = {
    package = packages.prover;
    ramGiB = 10;
    gateway = {
      enable = true;
      tokenFile = "/etc/ingot/core-token";
      settings.poll-every-ms = 200;
    };
    proof-data-handler = {
      enable = true;
      tokenFile = "/etc/ingot/core-token";
      external = "127.0.0.1:3073";
    };
    keygen.copyFrom = "/var/lib/ingot-keys";
  };
}

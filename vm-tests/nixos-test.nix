# What a node has in a NixOS test beside its host's own configuration: the tools that scenarios use, where they look for them
# on Debian as well.
{
  pkgs,
  lib,
  config,
  ...
}: {
  environment.systemPackages = with pkgs; [curl sqlite python3 config.services.ingot.package];
  environment.etc."ingot/token" = {
    text = "a-token-for-tests-only-0123456789abcdef";
    mode = "0400";
  };
  virtualisation = {
    cores = 2;
    memorySize = 3072;
    # A disk of its own for state, so that a cut hits it and nothing else.
    emptyDiskImages = [2048];
  };
  networking.firewall.enable = lib.mkDefault true;
}

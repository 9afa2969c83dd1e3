# What `nix run` starts.
{
  writeShellApplication,
  prover,
}: {
  prover = writeShellApplication {
    name = "prover";
    meta.description = "Run ingot; without arguments, the demonstration";
    text = ''
      if [ $# -eq 0 ]; then set -- demo; fi
      exec ${prover}/bin/ingot "$@"
    '';
  };
  keygen = writeShellApplication {
    name = "keygen";
    meta.description = "Make or check setup keys";
    text = ''exec ${prover}/bin/ingot keygen "$@"'';
  };
  # The operator's commands with this host's configuration, unless another is named.
  prover-cli = writeShellApplication {
    name = "prover-cli";
    meta.description = "Operate the appliance of this host";
    text = ''
      for argument in "$@"; do
        case $argument in --config | --config=* | --dir | --dir=* | --help | -h | --version) exec ${prover}/bin/ingot "$@" ;; esac
      done
      exec ${prover}/bin/ingot "$@" --config "''${INGOT_CONFIG:-/etc/ingot/ingot.toml}"
    '';
  };
}

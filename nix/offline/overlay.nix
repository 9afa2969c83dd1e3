# What the package set for offline evaluation lacks.
l: final: prev:
l.genAttrs ["cargo-deny" "cargo-nextest" "deadnix" "alejandra" "rsync" "b3sum" "shellcheck"] (
  name: prev.${name} or (final.runCommand name {meta.mainProgram = name;} "touch $out")
)
// {
  # Says that this platform has no shellcheck, so that scripts are not checked with it.
  shellcheck-minimal = {compiler.bootstrapAvailable = false;};
  mkShell = args:
    final.runCommand (args.name or "shell") ((args.env or {}) // {nativeBuildInputs = args.packages or [];}) "touch $out";
  testers =
    (prev.testers or {})
    // {
      # Every node is evaluated for real; what comes out names them.
      runNixOSTest = test: let
        value =
          if builtins.isPath test
          then import test
          else test;
        t =
          if builtins.isFunction value
          then
            value {
              pkgs = final;
              lib = l;
              hostPkgs = final;
            }
          else value;
        node = name: module:
          l.evalModules {
            modules = [
              ./nixos-stub.nix
              {
                _module.args.pkgs = final;
                networking.hostName = l.mkDefault name;
              }
              (t.defaults or {})
              module
            ];
          };
        nodes = l.mapAttrs node t.nodes;
      in
        final.runCommand "vm-test-${t.name}" {
          passthru = {inherit nodes;};
          script = t.testScript;
          units = l.mapAttrsToList (name: evaluated: "${name}=${evaluated.config.system.build.toplevel}") nodes;
        } "echo $units > $out";
    };
}

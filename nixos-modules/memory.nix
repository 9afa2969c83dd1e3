# From `ramGiB` to each component's share: what it needs at least, by measurement (docs/hardware.md), and a part of the rest
# by how much it gains from it.
{
  config,
  lib,
  ...
}: let
  ingot = import ./lib.nix {inherit config lib;};
  inherit (ingot) cfg;

  # MiB that a component needs to make progress, by circuit set.
  least = {
    ledger = {
      house-keeper = 512;
      witness-generator = 512;
      witness-vector-generator = 768;
      circuit-prover = 1536;
      keygen = 1536;
      proof-compressor = 2048;
      gateway = 256;
      proof-data-handler = 768;
      core = 512;
    };
    era = {
      house-keeper = 1024;
      witness-generator = 8192;
      witness-vector-generator = 4608;
      circuit-prover = 14336;
      keygen = 8192;
      proof-compressor = 14336;
      gateway = 512;
      proof-data-handler = 2048;
      core = 1024;
    };
  };
  # Of that, what the prover keeps setup keys in.
  leastKeys = {
    ledger = 256;
    era = 5632;
  };
  # Parts of what is left over.
  weights = {
    witness-generator = 1;
    witness-vector-generator = 5;
    circuit-prover = 4;
    proof-compressor = 2;
  };

  worker = ["witness-generator" "witness-vector-generator" "circuit-prover" "proof-compressor"];
  single = ["house-keeper" "gateway" "proof-data-handler" "core"];
  users =
    lib.concatMap (component: map (instance: {inherit component instance;}) (ingot.having component)) worker
    ++ map (component: {
      inherit component;
      instance = lib.head ingot.instances;
    }) (lib.filter (component: cfg.${component}.enable) single);
  needs = user: least.${user.instance.circuitSet}.${user.component};
  sum = lib.foldl' builtins.add 0;
  total =
    if cfg.ramGiB == null
    then 0
    else cfg.ramGiB * 1024;
  needed = sum (map needs users);
  allWeights = sum (map (user: weights.${user.component} or 0) users);
  spare = user: let
    weight = weights.${user.component} or 0;
  in
    if weight == 0 || total <= needed
    then 0
    else (total - needed) * weight / allWeights;
  share = user: needs user + spare user;
  text = mib: "${toString mib}M";
  bounded = cfg.ramGiB != null;
  # Keys are made before anything is proved: half of all there is, at least what one key takes.
  keygen = instance: lib.min total (lib.max least.${instance.circuitSet}.keygen (total / 2));
in {
  config = {
    assertions = [
      {
        assertion = !bounded || needed <= total;
        message = ''
          services.ingot.ramGiB = ${toString cfg.ramGiB} is too little: ${
            lib.concatMapStringsSep " + " (user: "${ingot.unitName user.component user.instance} ${toString (needs user)} MiB") users
          } = ${toString needed} MiB are needed.
        '';
      }
    ];
    services.ingot.build = {
      memory = lib.listToAttrs (
        lib.concatMap (
          user: let
            own = user.instance.${user.component}.memoryMax;
            value =
              if own != null
              then own
              else if bounded
              then text (share user)
              else null;
          in
            lib.optional (value != null) (lib.nameValuePair (ingot.unitName user.component user.instance) value)
        )
        users
      );
      # A quarter of a synthesizer's share is for all but synthesis.
      ram = lib.optionalAttrs bounded (lib.listToAttrs (
        map (user: lib.nameValuePair (ingot.unitName user.component user.instance) (text (share user * 3 / 4)))
        (lib.filter (user: user.component == "witness-vector-generator") users)
        ++ map (user: lib.nameValuePair (ingot.unitName user.component user.instance) (text (leastKeys.${user.instance.circuitSet} + spare user / 2)))
        (lib.filter (user: user.component == "circuit-prover") users)
        ++ map (instance: lib.nameValuePair (ingot.unitName "keygen" instance) (text (keygen instance))) (ingot.having "keygen")
      ));
    };
  };
}

# What is built of the workspace, and the checks that are builds.
{
  lib,
  craneLib,
  runCommand,
  diffutils,
}: let
  root = ../.;
  fs = lib.fileset;
  source = fs.toSource {
    inherit root;
    fileset = fs.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../.cargo
      ../clippy.toml
      ../deny.toml
      ../rustfmt.toml
      ../docs
      (fs.difference ../crates (fs.maybeMissing ../crates/era/ported))
    ];
  };
  version = (lib.importTOML ../Cargo.toml).workspace.package.version;
  common = {
    src = source;
    inherit version;
    strictDeps = true;
    # The proof library uses nightly features on the stable compiler.
    RUSTC_BOOTSTRAP = "1";
  };
  ledger = common // {pname = "ingot";};
  dependencies = craneLib.buildDepsOnly ledger;

  # Subcommands that are components of their own units.
  components = [
    "house-keeper"
    "witness-generator"
    "witness-vector-generator"
    "circuit-prover"
    "gateway"
    "proof-data-handler"
  ];

  package = pname: crate: set: description:
    craneLib.buildPackage (
      ledger
      // {
        inherit pname;
        cargoArtifacts = dependencies;
        cargoExtraArgs = "--locked --package ${crate}";
        # The tests are a check of their own.
        doCheck = false;
        passthru = {
          circuitSet = set;
          inherit components;
        };
        meta = {
          inherit description;
          mainProgram = pname;
          platforms = ["x86_64-linux"];
          license = with lib.licenses; [mit asl20];
        };
      }
    );

  # The published circuits of ZKsync Era, ported: by the same program as elsewhere, over crates whose hashes
  # crates/era/port/published/Cargo.lock has. It checks what goes in and what comes out.
  era-ported = craneLib.mkCargoDerivation {
    pname = "ingot-era-ported";
    inherit version;
    src = ../crates/era/port;
    strictDeps = true;
    cargoVendorDir = craneLib.vendorMultipleCargoDeps {
      cargoLockList = [../crates/era/port/Cargo.lock ../crates/era/port/published/Cargo.lock];
    };
    cargoArtifacts = null;
    doInstallCargoArtifacts = false;
    buildPhaseCargoCommand = ''cargo run --release --locked --offline -- "$TMPDIR/ported"'';
    installPhaseCommand = ''cp -r "$TMPDIR/ported" "$out"'';
  };

  prover-era = craneLib.buildPackage (
    common
    // {
      pname = "ingot-era";
      cargoToml = ../crates/era/Cargo.toml;
      cargoLock = ../crates/era/Cargo.lock;
      # A workspace below the root: cargo finds .cargo/config.toml above it.
      postUnpack = ''
        cd "$sourceRoot/crates/era"
        sourceRoot=.
        cp -r --no-preserve=mode ${era-ported} ported
      '';
      cargoArtifacts = null;
      cargoExtraArgs = "--locked --bin ingot-era";
      doCheck = false;
      passthru = {
        circuitSet = "era";
        inherit components;
      };
      meta = {
        description = "Ingot with the circuits of ZKsync Era";
        mainProgram = "ingot-era";
        platforms = ["x86_64-linux"];
        license = with lib.licenses; [mit asl20];
      };
    }
  );

  prover = package "ingot" "ingot-cli" "ledger" "Proving appliance for ZK rollups";
  fake = package "ingot-fake" "ingot-fake" "ledger" "Ingot's components over fake work, for tests only";
in {
  packages = {inherit prover prover-era fake era-ported;};
  checks = {
    clippy = craneLib.cargoClippy (
      ledger
      // {
        cargoArtifacts = dependencies;
        cargoClippyExtraArgs = "--workspace --all-targets -- --deny warnings";
      }
    );
    fmt = craneLib.cargoFmt {inherit (ledger) src pname version;};
    # What needs namespaces of its own, a registry or hours is in .ci/run and .ci/long.
    tests = craneLib.cargoTest (ledger // {cargoArtifacts = dependencies;});
    deny = craneLib.cargoDeny {
      inherit (ledger) src pname version;
      cargoDenyChecks = "bans licenses sources";
    };
    # Made anew, all keys come out as they are committed, byte for byte; only the receipt names another build.
    keys = runCommand "ingot-keys" {nativeBuildInputs = [prover diffutils];} ''
      ingot keygen --dir state --write-manifest made
      diff --recursive --exclude keys-receipt.toml made ${../crates/ledger/keys/proven80}
      cp made/manifest.toml "$out"
    '';
  };
}

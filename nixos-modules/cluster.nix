# A handful of hosts as one deployment: the same list of nodes on each; every host finds its own part by its name.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkOption mkEnableOption types;
  ingot = import ./lib.nix {inherit config lib;};
  inherit (ingot) cfg;
  own = cfg.cluster;
  hostName = config.networking.hostName;
  # An empty one when the name is missing, so that the assertion speaks and nothing else.
  here =
    own.nodes.${hostName} or {
      address = "127.0.0.1";
      houseKeeper = false;
    };
  keepers = lib.filterAttrs (_: node: node.houseKeeper) own.nodes;
  keeper = lib.head (lib.attrValues keepers);
  others = lib.filterAttrs (name: _: name != hostName) own.nodes;
  bare = address: lib.head (lib.splitString "/" address);
in {
  options.services.ingot.cluster = {
    enable = mkEnableOption "this host's part in a cluster: house keeper there, provers here, without further options";
    nodes = mkOption {
      default = {};
      description = "All hosts, by `networking.hostName`. The same on each of them.";
      example = lib.literalExpression ''
        {
          keeper = { address = "10.77.0.1"; houseKeeper = true; wireguard.publicKey = "…"; wireguard.endpoint = "192.0.2.1:51820"; };
          gpu-1 = { address = "10.77.0.2"; wireguard.publicKey = "…"; };
        }
      '';
      type = types.attrsOf (types.submodule {
        options = {
          address = mkOption {
            type = types.strMatching "[0-9]{1,3}(\\.[0-9]{1,3}){3}";
            example = "10.77.0.2";
            description = "Its address in the cluster's network.";
          };
          houseKeeper = mkOption {
            type = types.bool;
            default = false;
            description = "Whether it has the house keeper. Exactly one has.";
          };
          wireguard.publicKey = mkOption {
            type = types.nullOr types.str;
            default = null;
            description = "Its WireGuard key.";
          };
          wireguard.endpoint = mkOption {
            type = types.nullOr types.str;
            default = null;
            example = "192.0.2.1:51820";
            description = "Where others reach it, if they can.";
          };
        };
      });
    };
    wireguard = {
      enable = mkEnableOption "a WireGuard interface between the nodes. What they say to each other is authenticated, but encrypted only by this";
      interface = mkOption {
        type = types.str;
        default = "ingot";
        description = "Its name.";
      };
      port = mkOption {
        type = types.port;
        default = 51820;
        description = "UDP port.";
      };
      privateKeyFile = mkOption {
        type = types.nullOr types.path;
        default = null;
        description = "File with this host's private key.";
      };
    };
    port = mkOption {
      type = types.port;
      default = 3310;
      description = "The house keeper's TCP port.";
    };
    streamPort = mkOption {
      type = types.port;
      default = 3316;
      description = "The provers' TCP port for witness vectors.";
    };
  };

  config = lib.mkIf own.enable {
    assertions = [
      {
        assertion = own.nodes ? ${hostName};
        message = "services.ingot.cluster.nodes has no `${hostName}`, which is this host's networking.hostName; it has ${toString (lib.attrNames own.nodes)}.";
      }
      {
        assertion = lib.length (lib.attrNames keepers) == 1;
        message = "services.ingot.cluster.nodes: exactly one node has the house keeper, found ${toString (lib.length (lib.attrNames keepers))}: ${toString (lib.attrNames keepers)}.";
      }
      {
        assertion = cfg.host.tokenFile != null;
        message = "services.ingot.cluster: services.ingot.host.tokenFile must name the file with the token that all nodes share.";
      }
      {
        assertion = own.wireguard.enable -> own.wireguard.privateKeyFile != null && lib.all (node: node.wireguard.publicKey != null) (lib.attrValues own.nodes);
        message = "services.ingot.cluster.wireguard needs privateKeyFile, and wireguard.publicKey of every node.";
      }
    ];
    services.ingot = {
      host.houseKeeper = lib.mkDefault (
        if here.houseKeeper || keepers == {}
        then "unix:/run/ingot/house-keeper.sock"
        else "tcp:${keeper.address}:${toString own.port}"
      );
      host.peers = lib.mkDefault (map (node: node.address) (lib.attrValues own.nodes));
      house-keeper = lib.mkIf here.houseKeeper {
        enable = lib.mkDefault true;
        listen = lib.mkDefault ["${here.address}:${toString own.port}"];
        openFirewall = lib.mkDefault true;
      };
      circuit-prover = {
        listen = lib.mkDefault "${here.address}:${toString own.streamPort}";
        openFirewall = lib.mkDefault true;
      };
      firewallInterfaces = lib.mkIf own.wireguard.enable (lib.mkDefault [own.wireguard.interface]);
    };
    networking.wireguard.interfaces = lib.mkIf own.wireguard.enable {
      ${own.wireguard.interface} = {
        ips = ["${here.address}/24"];
        listenPort = own.wireguard.port;
        privateKeyFile = toString own.wireguard.privateKeyFile;
        peers =
          lib.mapAttrsToList (
            _: node:
              {
                inherit (node.wireguard) publicKey;
                allowedIPs = ["${bare node.address}/32"];
                persistentKeepalive = 25;
              }
              // lib.optionalAttrs (node.wireguard.endpoint != null) {inherit (node.wireguard) endpoint;}
          )
          others;
      };
    };
    networking.firewall.allowedUDPPorts = lib.mkIf own.wireguard.enable [own.wireguard.port];
  };
}

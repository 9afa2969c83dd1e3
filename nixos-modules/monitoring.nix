# Prometheus and Grafana on the same host, with the committed rules and dashboard.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkEnableOption;
  ingot = import ./lib.nix {inherit config lib;};
  inherit (ingot) cfg;
  pages = component: map (instance: instance.${component}.http) (lib.filter (instance: instance.${component}.http != null) (ingot.having component));
  workers = lib.concatMap pages ["witness-generator" "witness-vector-generator" "circuit-prover" "proof-compressor"];
  job = name: targets: {
    job_name = name;
    static_configs = [{inherit targets;}];
  };
in {
  options.services.ingot.monitoring = {
    prometheus.enable = mkEnableOption "Prometheus, with every component's figures and the alert rules";
    grafana.enable = mkEnableOption "Grafana, with the dashboard";
  };
  config = lib.mkMerge [
    {
      assertions = [
        {
          assertion = cfg.monitoring.grafana.enable -> cfg.monitoring.prometheus.enable;
          message = "services.ingot.monitoring.grafana.enable needs services.ingot.monitoring.prometheus.enable on the same host.";
        }
      ];
    }
    (lib.mkIf cfg.monitoring.prometheus.enable {
      services.prometheus = {
        enable = true;
        listenAddress = lib.mkDefault "127.0.0.1";
        # The names that the alert rules and the dashboard use.
        scrapeConfigs =
          lib.optional (cfg.house-keeper.enable && cfg.house-keeper.http != null) (job "ingot-house-keeper" [cfg.house-keeper.http])
          ++ lib.optional (workers != []) (job "ingot-workers" workers);
        ruleFiles = [../docs/observability/alerts.yml];
      };
    })
    (lib.mkIf cfg.monitoring.grafana.enable {
      environment.etc."ingot/dashboards/ingot.json".source = ../docs/observability/grafana-dashboard.json;
      services.grafana = {
        enable = true;
        settings.server.http_addr = lib.mkDefault "127.0.0.1";
        provision = {
          enable = true;
          datasources.settings.datasources = [
            {
              name = "Prometheus";
              type = "prometheus";
              url = "http://127.0.0.1:${toString config.services.prometheus.port}";
              isDefault = true;
            }
          ];
          dashboards.settings.providers = [
            {
              name = "ingot";
              options.path = "/etc/ingot/dashboards";
            }
          ];
        };
      };
    })
  ];
}

//! What is served at `/metrics` and what docs/metrics.md says are the same; dashboard and alerts use nothing else, and
//! every alert has its paragraph in docs/runbook.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    time::Duration,
};

use ingot_house_keeper::{
    client::{Address, Client, ClientOptions},
    protocol::{Component, ProverLoad, Registration, Request, Served, StreamOffer, Submission},
    HouseKeeper, HouseKeeperConfig,
};
use ingot_job_store::{ArtifactName, Filter, JobSpec, Lease};
use ingot_services::observability::{GatewayEvent, Metrics};
use ingot_types::{BatchId, BatchNumber, ChainId, JobKey, ProtocolVersion, RetryClass};

const VERSION: ProtocolVersion = ProtocolVersion { minor: 1, patch: 0 };

/// Type and labels of a family of metrics.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

fn docs(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The tables of docs/metrics.md: those rows that begin with a name and have a type.
fn documented() -> Families {
    let mut families = Families::new();
    for line in docs("metrics.md").lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if !["gauge", "counter", "histogram"].contains(&cells[1]) {
            continue;
        }
        let labels = cells[2].split(',').map(|label| label.trim().to_owned());
        let entry = (cells[1].to_owned(), labels.filter(|label| !label.is_empty()).collect());
        let name = cells[0].trim_matches('`').to_owned();
        if name.starts_with("ingot_handler_") {
            // Its own tests look after them.
            continue;
        }
        assert!(families.insert(name.clone(), entry).is_none(), "{name} is there twice");
    }
    families
}

/// The families of a page, as Prometheus sees them.
fn exposed(page: &str) -> Families {
    let mut families = Families::new();
    let mut kind_of = BTreeMap::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            // OpenMetrics leaves the suffix to the samples.
            let total = kind == "counter" && !name.ends_with("_total") && name.starts_with("ingot_worker_");
            let name = if total { format!("{name}_total") } else { name.to_owned() };
            kind_of.insert(name.clone(), kind.to_owned());
            families.insert(name, (kind.to_owned(), BTreeSet::new()));
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .filter_map(|suffix| name.strip_suffix(suffix))
                .find(|name| kind_of.get(*name).is_some_and(|kind| kind == "histogram"))
                .unwrap_or(name);
            let (_, labels) = families.get_mut(family).unwrap_or_else(|| panic!("{line} has no type"));
            if let Some((_, rest)) = line.split_once('{') {
                let pairs = rest.rsplit_once('}').unwrap().0.split("\",");
                let names = pairs.map(|pair| pair.split_once('=').unwrap().0.to_owned());
                labels.extend(names.filter(|label| label != "le"));
            }
        }
    }
    families
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

fn registration(component: Component, name: &str) -> Registration {
    let served = Served {
        protocol_version: VERSION,
        circuit_set: "test".into(),
        parameter_set: "test".into(),
        key_manifest: "test".into(),
    };
    let stream = StreamOffer { addresses: vec![([127, 0, 0, 1], 1).into()], slabs: 2, slab_bytes: 1 << 20 };
    Registration {
        component,
        name: name.into(),
        instance: [1; 16],
        host: "test".into(),
        pid: 1,
        zone: None,
        group: None,
        serves: Some(served),
        stream: (component == Component::CircuitProver).then_some(stream),
    }
}

fn lease(client: &Client) -> Lease {
    use ingot_house_keeper::protocol::Answer;
    match client.call(Request::Lease { filter: Filter::default(), wait_ms: 10_000 }).unwrap() {
        Answer::Lease(Some(lease)) => *lease,
        other => panic!("{other:?}"),
    }
}

fn submission(number: u32) -> Submission {
    Submission {
        batch: BatchId { chain: ChainId(270), batch: BatchNumber(number) },
        protocol_version: VERSION,
        witness_inputs: ArtifactName { role: "witness-inputs".into(), hash: "0".repeat(64), size_bytes: 1 },
        priority: 0,
        sealed_at_ms: 0,
        max_attempts: 1,
        deliver_to: Some("core".into()),
    }
}

/// The page of a house keeper to which everything has happened that has a label.
fn house_keeper_page() -> String {
    let folder = tempfile::tempdir().unwrap();
    let config = HouseKeeperConfig {
        folder: folder.path().to_owned(),
        http: Some(([127, 0, 0, 1], 0).into()),
        disk_low_bytes: 0,
        disk_high_bytes: 0,
        ..HouseKeeperConfig::default()
    };
    let house_keeper = HouseKeeper::start(&config).unwrap();
    let address = Address::Unix(config.socket_path());
    let worker = |component, name: &str| {
        Client::start(ClientOptions::new(address.clone(), None, registration(component, name))).unwrap()
    };
    let prover = worker(Component::CircuitProver, "prover");
    prover.call(Request::Load(ProverLoad { free_slabs: 1, queued: 1, proving: 1 })).unwrap();
    prover.call(Request::Submit(submission(3))).unwrap();
    let first = lease(&prover);
    let spec = |key: &str| JobSpec { key: key.parse().unwrap(), ..(*first.job.spec).clone() };
    let (key, token) = (first.job.key(), first.token);
    let jobs =
        ["270/3/compress/4/1/0/0", "270/3/witness/1/3/0/0", "270/3/prove/0/1/0/0", "270/3/prove/0/1/0/1"];
    let new_jobs = jobs.map(spec).into();
    prover.call(Request::Complete { key, token, outputs: vec![], new_jobs }).unwrap();
    // Each is given up; all but one wait again, and the first of them is leased.
    for expected in jobs {
        let job = lease(&prover);
        assert_eq!(job.job.key().to_string(), expected);
        let (key, token, class) = (job.job.key(), job.token, RetryClass::Deterministic);
        prover.call(Request::Fail { key, token, class, reason: "test".into() }).unwrap();
    }
    for job in &jobs[..3] {
        prover.call(Request::Requeue { key: job.parse().unwrap() }).unwrap();
    }
    let _held = lease(&prover);
    let page = get(house_keeper.http().unwrap(), "/metrics");
    prover.close(Duration::from_secs(5));
    house_keeper.stop();
    page
}

#[test]
fn figures_are_those_of_what_happened() {
    let page = house_keeper_page();
    for line in [
        "ingot_batches{state=\"stuck\"} 1",
        "ingot_batches{state=\"proving\"} 0",
        "ingot_open_batches 1",
        "ingot_deliveries{state=\"pending\"} 1",
        "ingot_deliveries{state=\"sent\"} 0",
        "ingot_oldest_unsent_proof_seconds 0",
        "ingot_failed_total{class=\"deterministic\"} 4",
        "ingot_failed_total{class=\"transient\"} 0",
        "ingot_quarantined_total 4",
        "ingot_completed_total 1",
        "ingot_leases_total 6",
        "ingot_leases_expired_total 0",
        "ingot_slabs 2",
        "ingot_free_slabs 1",
        "ingot_provers_busy 1",
        "ingot_jobs{version=\"0.1.0\",kind=\"prove\",round=\"0\",circuit=\"1\",state=\"quarantined\"} 1",
        "ingot_workers{component=\"circuit-prover\",connected=\"true\"} 1",
        "fri_prover_prover_jobs{type=\"queued\",circuit_id=\"1\",aggregation_round=\"0\",protocol_version=\"0.1.0\"} 1",
        "fri_prover_block_number{circuit_id=\"1\",aggregation_round=\"0\"} 3",
        "fri_prover_oldest_not_generated_batch 3",
        "prover_fri_proof_compressor_jobs{type=\"in_progress\",protocol_version=\"0.1.0\"} 1",
        "server_witness_generator_jobs_by_round{type=\"queued\",round=\"leaf_aggregation\",protocol_version=\"0.1.0\"} 1",
        "server_prover_fri_requeued_jobs{chain_id=\"270\"} 2",
        "server_requeued_jobs{witness_type=\"leaf_aggregations_jobs_fri\",chain_id=\"270\"} 1",
        "prover_job_monitor_reached_max_attempts{job_type=\"prover_jobs\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
}

#[test]
fn a_lease_that_runs_out_is_counted_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let config = HouseKeeperConfig {
        folder: folder.path().to_owned(),
        http: Some(([127, 0, 0, 1], 0).into()),
        disk_low_bytes: 0,
        disk_high_bytes: 0,
        lease_ttl_ms: 300,
        ..HouseKeeperConfig::default()
    };
    let house_keeper = HouseKeeper::start(&config).unwrap();
    let address = Address::Unix(config.socket_path());
    let worker = registration(Component::CircuitProver, "prover");
    let prover = Client::start(ClientOptions::new(address, None, worker)).unwrap();
    prover.call(Request::Submit(submission(1))).unwrap();
    // Nobody heartbeats for it.
    drop(lease(&prover));
    let start = std::time::Instant::now();
    loop {
        let page = get(house_keeper.http().unwrap(), "/metrics");
        if page.contains("\ningot_leases_expired_total 1\n") {
            assert!(page.contains("\ningot_leases_lost_total 1\n"), "{page}");
            assert!(page.contains("server_requeued_jobs{witness_type=\"witness_inputs_fri\""), "{page}");
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{page}");
        std::thread::sleep(Duration::from_millis(50));
    }
    prover.close(Duration::from_secs(5));
    house_keeper.stop();
}

/// The page of a worker that has done one of everything.
fn worker_page() -> String {
    let metrics = Metrics::new();
    let job: JobKey = "1/2/prove/0/3/0/4".parse().unwrap();
    metrics.ended(job, "done");
    metrics.took(job, "proving", Duration::from_secs(1));
    metrics.stream("done", 1);
    metrics.gateway(GatewayEvent::BatchTaken);
    metrics.gateway(GatewayEvent::ProofAcknowledged);
    metrics.text()
}

fn all_exposed() -> Families {
    let mut families = exposed(&house_keeper_page());
    families.extend(exposed(&worker_page()));
    families
}

#[test]
fn every_metric_is_documented_and_every_documented_one_is_there() {
    let (documented, exposed) = (documented(), all_exposed());
    let names = |families: &Families| families.keys().cloned().collect::<BTreeSet<_>>();
    let missing: Vec<_> = names(&exposed).difference(&names(&documented)).cloned().collect();
    assert!(missing.is_empty(), "not in docs/metrics.md: {missing:?}");
    let missing: Vec<_> = names(&documented).difference(&names(&exposed)).cloned().collect();
    assert!(missing.is_empty(), "in docs/metrics.md, and not served: {missing:?}");
    for (name, (kind, labels)) in &exposed {
        let (documented_kind, documented_labels) = &documented[name];
        assert_eq!(kind, documented_kind, "{name}");
        assert_eq!(labels, documented_labels, "{name}");
    }
}

/// The metrics that an expression names: words that begin as ours do, outside quotes.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let unquoted: String = expression.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let words = unquoted.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let known = ["ingot_", "fri_prover_", "server_", "prover_"];
    words.filter(|word| known.iter().any(|start| word.starts_with(start))).map(str::to_owned).collect()
}

/// Every metric of an expression is there, and every label that is selected or grouped by belongs to one of them.
fn check_expression(place: &str, expression: &str, families: &Families) {
    let used = metrics_in(expression);
    // `up` is Prometheus' own.
    assert!(!used.is_empty() || expression.contains("up{"), "{place} uses no metric of ours: {expression}");
    let mut labels: BTreeSet<&str> = ["instance", "job", "le"].into();
    for name in &used {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let base = base.filter(|base| families.get(*base).is_some_and(|(kind, _)| kind == "histogram"));
        let (_, of) = families
            .get(base.unwrap_or(name))
            .unwrap_or_else(|| panic!("{place}: there is no metric {name}: {expression}"));
        labels.extend(of.iter().map(String::as_str));
    }
    let grouped = expression.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    let grouped = grouped.flat_map(|list| list.split(',')).map(str::trim);
    let selected = expression.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let selected =
        selected.flat_map(|list| list.split(',')).filter_map(|pair| pair.split(['=', '!', '~']).next());
    for label in grouped.chain(selected.map(str::trim)).filter(|label| !label.is_empty()) {
        assert!(labels.contains(label), "{place}: no metric in it has the label {label}: {expression}");
    }
}

#[test]
fn the_dashboard_uses_metrics_that_there_are() {
    let families = documented();
    let dashboard: serde_json::Value =
        serde_json::from_str(&docs("observability/grafana-dashboard.json")).unwrap();
    assert!(dashboard["uid"].is_string() && dashboard["title"].is_string());
    let (mut ids, mut used) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is taken");
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            check_expression(title, &expression.replace("$__rate_interval", "5m"), &families);
            used.extend(metrics_in(expression));
        }
    }
    assert!(used.len() > 15, "{used:?}");
}

/// The rules are written so that each key is on a line of its own.
#[derive(Debug, Default)]
struct Alert {
    name: String,
    keys: BTreeMap<String, String>,
}

fn alerts() -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    for line in docs("observability/alerts.yml").lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((key, value)) = line.split_once(": ") else { continue };
        if key == "- alert" {
            alerts.push(Alert { name: value.to_owned(), ..Alert::default() });
        } else if let Some(alert) = alerts.last_mut() {
            assert!(!value.starts_with('|') && !value.starts_with('>'), "{line}: expected it on one line");
            alert.keys.insert(key.to_owned(), value.to_owned());
        }
    }
    alerts
}

#[test]
fn every_alert_uses_metrics_that_there_are_and_has_its_runbook() {
    let families = documented();
    let runbook = docs("runbook.md");
    let headings: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = alerts();
    assert!(alerts.len() >= 10, "{alerts:?}");
    for alert in &alerts {
        let key =
            |key: &str| alert.keys.get(key).unwrap_or_else(|| panic!("{} has no {key}", alert.name)).as_str();
        check_expression(&alert.name, key("expr"), &families);
        assert!(["critical", "warning"].contains(&key("severity")), "{}", alert.name);
        assert!(!key("summary").is_empty() && !key("for").is_empty(), "{}", alert.name);
        assert!(headings.contains(alert.name.as_str()), "docs/runbook.md has nothing on {}", alert.name);
        let anchor = alert.name.to_lowercase();
        assert!(
            key("runbook").trim_matches('"').ends_with(&format!("docs/runbook.md#{anchor}")),
            "{}",
            alert.name
        );
        // What to look at, and what to do.
        let paragraph = runbook.split(&format!("## {}\n", alert.name)).nth(1).unwrap();
        let paragraph = paragraph.split("\n## ").next().unwrap();
        assert!(paragraph.contains("`ingot "), "docs/runbook.md names no command for {}", alert.name);
    }
    let names: BTreeSet<&str> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    let idle: Vec<_> = headings.difference(&names).collect();
    assert!(idle.is_empty(), "docs/runbook.md has paragraphs without an alert: {idle:?}");
    assert_eq!(names.len(), alerts.len(), "a name is there twice");
}

#[test]
fn the_checks_find_what_is_wrong() {
    let families = documented();
    let wrong = |expression: &str| {
        std::panic::catch_unwind(|| check_expression("test", expression, &families)).is_err()
    };
    assert!(!wrong("sum by (round) (ingot_jobs{state=\"queued\"})"));
    assert!(!wrong("histogram_quantile(0.9, sum by (le, what) (rate(ingot_worker_job_seconds_bucket[5m])))"));
    assert!(wrong("ingot_jbos"));
    assert!(wrong("ingot_jobs_bucket"));
    assert!(wrong("sum by (batch) (ingot_jobs)"));
    assert!(wrong("ingot_jobs{status=\"queued\"}"));
    assert!(wrong("1 > 2"));
}

//! What systemd hears, over a socket of its kind. A process of its own, since it is told through the environment.
#![allow(clippy::unwrap_used)]

use std::{
    os::unix::net::UnixDatagram,
    sync::Arc,
    time::{Duration, Instant},
};

use ingot_services::observability::{Observed, Systemd};

const PERIOD: Duration = Duration::from_millis(400);

/// The next message, if one comes while it is waited for.
fn next(socket: &UnixDatagram) -> Option<String> {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8(buffer[..length].to_vec()).unwrap().trim().to_owned())
}

#[test]
fn it_hears_ready_and_status_and_the_watchdog_only_while_there_is_progress() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    std::env::set_var("NOTIFY_SOCKET", &path);
    std::env::set_var("WATCHDOG_USEC", PERIOD.as_micros().to_string());
    std::env::remove_var("WATCHDOG_PID");

    let observed = Arc::new(Observed::default());
    let systemd = Systemd::ready(&observed);
    assert_eq!(next(&socket).as_deref(), Some("READY=1"));
    observed.health.beat("main loop");
    let start = Instant::now();
    while next(&socket).as_deref() != Some("WATCHDOG=1") {
        assert!(start.elapsed() < Duration::from_secs(60));
        observed.health.beat("main loop");
    }
    // The main loop stands still: soon nothing is heard any more.
    std::thread::sleep(2 * PERIOD);
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    while next(&socket).is_some() {}
    socket.set_read_timeout(Some(2 * PERIOD)).unwrap();
    assert_eq!(next(&socket), None);
    observed.health.beat("main loop");
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(next(&socket).as_deref(), Some("WATCHDOG=1"));

    // The same status is told once.
    systemd.status("waiting for the house keeper");
    systemd.status("waiting for the house keeper");
    systemd.stopping();
    let rest: Vec<String> =
        std::iter::from_fn(|| next(&socket)).filter(|text| text != "WATCHDOG=1").take(2).collect();
    assert_eq!(rest, ["STATUS=waiting for the house keeper", "STOPPING=1"]);
}

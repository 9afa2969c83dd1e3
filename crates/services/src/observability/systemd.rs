//! READY, STATUS, WATCHDOG and STOPPING to systemd, where it asks for them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::Builder,
    time::Duration,
};

use sd_notify::NotifyState;

use super::Observed;
use crate::stop::Stop;

/// What systemd is told. Without systemd nothing happens.
#[derive(Debug)]
pub struct Systemd {
    end: Stop,
    last: Mutex<String>,
}

impl Systemd {
    /// Says READY, and from now on keeps the watchdog quiet for as long as every thread that beats makes progress.
    pub fn ready(observed: &Arc<Observed>) -> Self {
        notify(&[NotifyState::Ready]);
        let systemd = Self { end: Stop::new(), last: Mutex::default() };
        if let Some(timeout) = sd_notify::watchdog_enabled() {
            let (observed, end) = (observed.clone(), systemd.end.clone());
            let watch = move || watch(timeout, &observed, &end);
            if let Err(error) = Builder::new().name("watchdog".into()).spawn(watch) {
                tracing::warn!("no thread for systemd's watchdog: {error}");
            }
        }
        systemd
    }

    /// What the component is doing, if that changed.
    pub fn status(&self, line: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != line {
            line.clone_into(&mut last);
            notify(&[NotifyState::Status(line)]);
        }
    }

    /// It is stopping.
    pub fn stopping(&self) {
        notify(&[NotifyState::Stopping]);
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        self.end.raise();
    }
}

/// Pings twice in each period; a thread that stands still for a period is left to systemd.
fn watch(timeout: Duration, observed: &Observed, end: &Stop) {
    let period = timeout / 2;
    while !end.wait_timeout(period / 2) {
        match observed.health.stuck(period).as_slice() {
            [] => notify(&[NotifyState::Watchdog]),
            stuck => tracing::error!("no progress in {}: systemd will end this process", stuck.join(", ")),
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("systemd cannot be told: {error}");
    }
}

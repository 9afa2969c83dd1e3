//! Log lines: to the journal with fields of their own, or to standard error as text or JSON.

use std::{
    env,
    io::{self, IsTerminal},
    os::{linux::fs::MetadataExt, unix::fs::FileTypeExt},
    path::Path,
};

use serde::{Deserialize, Serialize};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt, EnvFilter, Layer, Registry};

/// Which lines are written: `info`, `debug`, `ingot_services=debug,info`.
pub const LOG_FILTER_VARIABLE: &str = "INGOT_LOG";
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// Where and how log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// The journal where standard error goes there, else text.
    #[default]
    Auto,
    /// Text on standard error.
    Text,
    /// JSON lines on standard error.
    Json,
    /// The journal.
    Journal,
}

/// Starts logging, for the whole process. A second call changes nothing.
///
/// # Errors
/// A sentence, if the filter in [`LOG_FILTER_VARIABLE`] cannot be read, or the journal was asked for and is not there.
pub fn init(format: LogFormat, component: &str) -> Result<(), String> {
    let filter = match env::var(LOG_FILTER_VARIABLE) {
        Ok(text) => EnvFilter::try_new(&text).map_err(|e| format!("{LOG_FILTER_VARIABLE}=`{text}`: {e}"))?,
        Err(_) => EnvFilter::new("info"),
    };
    let journal = match format {
        LogFormat::Journal => true,
        LogFormat::Auto => stderr_is_the_journal(),
        _ => false,
    };
    let layer: Box<dyn Layer<Registry> + Send + Sync> = if journal {
        Box::new(journal_layer(component)?)
    } else if format == LogFormat::Json {
        Box::new(tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(io::stderr))
    } else {
        let text = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
        Box::new(text.with_ansi(io::stderr().is_terminal()))
    };
    // Tests and embedding programs may have a subscriber already: theirs stays.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    Ok(())
}

/// Fields go as they are named in the code: `BATCH`, `JOB`, `ROUND`, `CIRCUIT`.
fn journal_layer(component: &str) -> Result<tracing_journald::Layer, String> {
    let layer = tracing_journald::layer().map_err(|e| format!("cannot write to the journal: {e}"))?;
    // By default `info!` would be a notice.
    let mappings = PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    };
    Ok(layer
        .with_field_prefix(None)
        .with_priority_mappings(mappings)
        .with_syslog_identifier(format!("ingot-{component}")))
}

/// systemd names device and inode of the stream it connected: standard error may have been redirected since.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    let socket = Path::new(JOURNAL_SOCKET).metadata().is_ok_and(|m| m.file_type().is_socket());
    let Ok(stderr) = Path::new("/proc/self/fd/2").metadata() else { return false };
    socket && stream == format!("{}:{}", stderr.st_dev(), stderr.st_ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_error_of_a_test_is_not_the_journal() {
        assert!(!stderr_is_the_journal());
    }
}

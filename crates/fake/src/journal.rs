//! A journal of a test's own: a socket where systemd's would be, for processes in a mount namespace of the test's.

use std::{
    collections::BTreeMap,
    io,
    os::unix::net::UnixDatagram,
    path::Path,
    process::Child,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use crate::namespace;

/// The namespaces to try: as any user, and as root where users may make none.
const WAYS: [&[&str]; 2] = [&["--user", "--map-root-user"], &[]];
/// Mounts, says so, and lasts until its standard input ends.
const HOLD: &str = r#"mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && mount --bind "$0" /run/systemd/journal \
    && echo ready && exec cat"#;

/// One log entry: its fields, each of which may be there several times in a real journal, here the last counts.
pub type Entry = BTreeMap<String, String>;

/// A journal, which takes entries as long as this lives.
#[derive(Debug)]
pub struct Journal {
    holder: Child,
    join: Vec<String>,
    entries: Arc<Mutex<Vec<Result<Entry, String>>>>,
}

impl Journal {
    /// Opens one; its socket is in `folder`, which must exist.
    ///
    /// # Errors
    /// If there is no namespace to be had, with what was tried.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::bind(folder.join("socket"))?;
        let entries: Arc<Mutex<Vec<Result<Entry, String>>>> = Arc::default();
        let written = entries.clone();
        // Ends with the process. Who writes waits while the socket is full, so that it is read all the time.
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            while let Ok(length) = socket.recv(&mut buffer) {
                let datagram = buffer.get(..length).unwrap_or_default();
                // An empty one asks whether there is a journal.
                if !datagram.is_empty() {
                    written.lock().unwrap_or_else(PoisonError::into_inner).push(parse(datagram));
                }
            }
        });
        let mut tried = Vec::new();
        for way in WAYS {
            match namespace::hold(HOLD, &[folder.as_os_str()], way) {
                Ok((holder, join)) => return Ok(Self { holder, join, entries }),
                Err(error) => tried.push(format!("unshare {way:?}: {error}")),
            }
        }
        Err(io::Error::other(format!("no mount namespace can be had: {}", tried.join("; "))))
    }

    /// The command that a process is to be started through to see the journal.
    pub fn join(&self) -> Vec<String> {
        self.join.clone()
    }

    /// What was written so far.
    ///
    /// # Errors
    /// The first datagram that is no entry.
    pub fn entries(&self) -> Result<Vec<Entry>, String> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // It may have ended this moment.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// systemd's native protocol: `NAME=value` and a line feed, or for values of several lines the name, a line feed, eight
/// bytes of length, the value, a line feed.
fn parse(mut datagram: &[u8]) -> Result<Entry, String> {
    let mut entry = Entry::new();
    let bad = |what: &str| format!("{what}: {}", String::from_utf8_lossy(datagram));
    let whole = datagram;
    while !datagram.is_empty() {
        let end = datagram.iter().position(|byte| *byte == b'\n').ok_or_else(|| bad("no end of line"))?;
        let (line, rest) = datagram.split_at(end);
        let rest = rest.get(1..).unwrap_or_default();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if let Some(at) = line.iter().position(|byte| *byte == b'=') {
            let (name, value) = line.split_at(at);
            entry.insert(text(name), text(value.get(1..).unwrap_or_default()));
            datagram = rest;
            continue;
        }
        let length = rest.get(..8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        let length = length.and_then(|length| usize::try_from(length).ok());
        let value = length.and_then(|length| rest.get(8..8_usize.checked_add(length)?));
        let Some(value) = value else { return Err(format!("a value is cut short: {}", text(whole))) };
        entry.insert(text(line), text(value));
        datagram = rest.get(8 + value.len() + 1..).ok_or("a value has no end")?;
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_field_are_read_and_cut_ones_refused() {
        let mut datagram = b"PRIORITY=6\nMESSAGE\n".to_vec();
        datagram.extend(7_u64.to_le_bytes());
        datagram.extend(b"one\ntwo\nJOB=x=y\n");
        let entry = parse(&datagram).unwrap();
        assert_eq!((entry["PRIORITY"].as_str(), entry["MESSAGE"].as_str()), ("6", "one\ntwo"));
        assert_eq!(entry["JOB"], "x=y");
        for length in [3, 20, 30] {
            parse(&datagram[..length]).unwrap_err();
        }
    }
}

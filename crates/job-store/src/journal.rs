//! An append-only log of commands: what the in-memory home is rebuilt from.
//!
//! ```text
//! file   = MAGIC frame*
//! frame  = length (u32, little-endian) | payload check (16) | header check (8) | payload (postcard of a Record)
//! ```
//! Checks are truncated keyed BLAKE3, and the key is the full hash of the frame before: a frame that is damaged, moved,
//! repeated or left out breaks the chain. The header has a check of its own, so that a damaged length is not taken for
//! the end of the file.
//!
//! A crash can leave the last write unfinished: short, or with zeros where blocks were never written. That tail is cut
//! off; nobody was told that it was stored. Anything else that does not check out is an error that names the offset.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{Command, StoreError};

/// The first bytes of every journal: what it is, and the version of its format.
const MAGIC: &[u8; 16] = b"ingot journal 1\n";
const HEADER: usize = 4 + 16 + 8;
/// The smallest piece that a disk writes or does not write.
const SECTOR: usize = 512;

/// A command and when it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// In milliseconds since the Unix epoch.
    pub(crate) now_ms: u64,
    /// What was done.
    pub(crate) command: Command,
}

/// An open journal. One process at a time has it.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    /// Length up to which every frame is whole, in bytes.
    length: u64,
    /// Hash of the last frame.
    link: [u8; 32],
    /// A write failed and could not be undone.
    broken: bool,
}

impl Journal {
    /// Opens or creates a journal and passes each record to `replay`, whose error says why the record cannot be right.
    /// Returns the number of bytes that were cut off the end as well.
    pub(crate) fn open(
        path: &Path,
        mut replay: impl FnMut(Record) -> Result<(), String>,
    ) -> Result<(Self, u64), StoreError> {
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = open.map_err(context("open", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(e)) => return Err(context("lock", path)(e)),
        }
        let mut journal = Self { file, path: path.to_owned(), length: 0, link: first_link(), broken: false };
        let mut bytes = Vec::new();
        journal.file.read_to_end(&mut bytes).map_err(context("read", path))?;
        if bytes.len() < MAGIC.len() && (MAGIC.starts_with(&bytes) || bytes.iter().all(|b| *b == 0)) {
            journal.create()?;
            return Ok((journal, bytes.len() as u64));
        }
        if !bytes.starts_with(MAGIC) {
            return Err(journal.corrupt(0, "it does not start like a job journal of this version"));
        }
        journal.length = MAGIC.len() as u64;
        while let Some((payload, link)) = journal.next_frame(&bytes)? {
            decode(payload)
                .and_then(&mut replay)
                .map_err(|reason| journal.corrupt(journal.length, reason))?;
            journal.length += (HEADER + payload.len()) as u64;
            journal.link = link;
        }
        let cut_off = bytes.len() as u64 - journal.length;
        if cut_off > 0 {
            journal.cut().map_err(context("cut the unfinished end off", path))?;
        }
        Ok((journal, cut_off))
    }

    /// Appends records; when this returns they survive a power cut. On an error none of them is there.
    pub(crate) fn append(&mut self, records: impl Iterator<Item = Record>) -> Result<(), StoreError> {
        if self.broken {
            return Err(StoreError::Broken { path: self.path.clone() });
        }
        let mut frames = Vec::new();
        let mut link = self.link;
        for record in records {
            link =
                push_frame(&mut frames, &link, &record).map_err(context("encode a record of", &self.path))?;
        }
        let written = self.file.seek(SeekFrom::Start(self.length)).and_then(|_| self.file.write_all(&frames));
        if let Err(error) = written {
            self.broken = self.cut().is_err();
            return Err(context("write", &self.path)(error));
        }
        if let Err(error) = self.file.sync_data() {
            // After a failed sync the kernel may have dropped the pages: what is on disk is known only by reading it.
            self.broken = true;
            return Err(context("sync", &self.path)(error));
        }
        self.length += frames.len() as u64;
        self.link = link;
        Ok(())
    }

    fn create(&mut self) -> Result<(), StoreError> {
        let path = &self.path;
        let written = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        written.and_then(|_| self.file.write_all(MAGIC)).map_err(context("write", path))?;
        self.file.sync_all().map_err(context("sync", path))?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder).and_then(|f| f.sync_all()).map_err(context("sync", folder))?;
        self.length = MAGIC.len() as u64;
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.sync_all()
    }

    /// The payload of the frame at `self.length` and its link; `None` at the end of what was written in full.
    #[allow(clippy::type_complexity)]
    fn next_frame<'a>(&self, bytes: &'a [u8]) -> Result<Option<(&'a [u8], [u8; 32])>, StoreError> {
        let start = usize::try_from(self.length).unwrap_or(usize::MAX);
        let rest = bytes.get(start..).unwrap_or_default();
        let Some((header, after)) = rest.split_at_checked(HEADER) else {
            return Ok(None);
        };
        let (length, payload_check, header_check) = (&header[..4], &header[4..20], &header[20..]);
        if header_check != header_hash(&self.link, length, payload_check) {
            return match unwritten(bytes, start, start + HEADER) {
                true => Ok(None),
                false => Err(self.corrupt(self.length, "the record's header does not match its checksum")),
            };
        }
        let length = length.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let Some(payload) = after.get(..length) else {
            return Ok(None);
        };
        let link = *blake3::keyed_hash(&self.link, payload).as_bytes();
        if link[..16] != *payload_check {
            return match unwritten(bytes, start, start + HEADER + length) {
                true => Ok(None),
                false => Err(self.corrupt(self.length, "the record does not match its checksum")),
            };
        }
        Ok(Some((payload, link)))
    }

    fn corrupt(&self, offset: u64, reason: impl Into<String>) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), offset, reason: reason.into() }
    }
}

impl Drop for Journal {
    /// Closing the file would not do at once: a child process that another thread is starting has it open as well until
    /// it becomes its own program.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Whether the frame at `start..end` looks like a write that a power cut stopped: from its start, or from a sector
/// boundary within it, the file holds only zeros.
fn unwritten(bytes: &[u8], start: usize, end: usize) -> bool {
    let zeros = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    let boundary = zeros.max(start + 1).next_multiple_of(SECTOR);
    zeros <= start || boundary < end.min(bytes.len())
}

fn push_frame(out: &mut Vec<u8>, link: &[u8; 32], record: &Record) -> io::Result<[u8; 32]> {
    let payload = postcard::to_stdvec(record).map_err(io::Error::other)?;
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?.to_le_bytes();
    let next = *blake3::keyed_hash(link, &payload).as_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&next[..16]);
    out.extend_from_slice(&header_hash(link, &length, &next[..16]));
    out.extend_from_slice(&payload);
    Ok(next)
}

fn decode(payload: &[u8]) -> Result<Record, String> {
    match postcard::take_from_bytes(payload) {
        Ok((record, [])) => Ok(record),
        Ok((_, rest)) => Err(format!("the record has {} bytes too many", rest.len())),
        Err(error) => Err(format!("the record cannot be decoded: {error}")),
    }
}

fn header_hash(link: &[u8; 32], length: &[u8], payload_check: &[u8]) -> [u8; 8] {
    let hash = blake3::keyed_hash(link, &[length, payload_check].concat());
    let mut check = [0; 8];
    check.copy_from_slice(&hash.as_bytes()[..8]);
    check
}

fn first_link() -> [u8; 32] {
    *blake3::hash(MAGIC).as_bytes()
}

fn context<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_zeros_from_the_start_or_a_sector_boundary_look_unwritten() {
        let file = |ones: usize, length: usize| [vec![1; ones], vec![0; length - ones]].concat();
        // Nothing of the frame at 100 was written.
        assert!(unwritten(&file(100, 128), 100, 128));
        assert!(unwritten(&file(90, 2000), 100, 300));
        // Its second sector was not written.
        assert!(unwritten(&file(512, 700), 100, 700));
        assert!(unwritten(&file(300, 700), 100, 700));
        // It ends within a sector that was written: zeros at its end are its own.
        assert!(!unwritten(&file(300, 400), 100, 400));
        assert!(!unwritten(&file(600, 700), 100, 700));
        // The zeros begin after it.
        assert!(!unwritten(&file(600, 2000), 100, 600));
        assert!(!unwritten(&file(512, 2000), 100, 512));
    }

    #[test]
    fn records_of_unknown_or_more_content_are_refused() {
        let record = Record { now_ms: 1, command: Command::Reconcile };
        let mut bytes = postcard::to_stdvec(&record).unwrap();
        assert_eq!(decode(&bytes), Ok(record));
        bytes.push(0);
        assert!(decode(&bytes).unwrap_err().contains("1 bytes too many"));
        assert!(decode(&[1, 200]).unwrap_err().contains("cannot be decoded"));
    }
}

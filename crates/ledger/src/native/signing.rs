//! A signer that cannot sign twice: it writes down what each one-time key signs before it releases the signature.
//!
//! The file is an append-only journal: `INGOTSIG`, format version (u32 LE), then entries of 104 bytes: key (32),
//! account (u32 LE), nonce (u32 LE), message (32), BLAKE3 (32) of the entry's number (u64 LE) and those 72 bytes. It holds no
//! secrets, but whoever loses it, or restores an old copy, may sign twice with a key, and then anyone can forge.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use ingot_circuit_set::field::Digest;
use ingot_types::RetryClass;

use super::{
    hash::{digest_from_bytes, digest_hex, digest_to_bytes},
    operation::DebitMessage,
    wots::{SecretKey, Signature},
};

const MAGIC: &[u8; 8] = b"INGOTSIG";
const FORMAT_VERSION: u32 = 1;
const HEAD_BYTES: usize = 12;
const SIGNED_BYTES: usize = 72;
const ENTRY_BYTES: usize = SIGNED_BYTES + 32;

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// The key has signed something else.
    #[error(
        "{}: key {} signed message {} at account {}, nonce {}: expected that message again, found {} at account {account}, nonce {nonce}",
        file.display(), digest_hex(.key), digest_hex(&.signed.message), .signed.account, .signed.nonce, digest_hex(.message)
    )]
    AlreadySigned {
        /// The journal.
        file: PathBuf,
        /// The key.
        key: Digest,
        /// What it signed.
        signed: Box<Signed>,
        /// The message now asked for.
        message: Digest,
        /// Its account.
        account: u32,
        /// Its nonce.
        nonce: u32,
    },
    /// Another process has the journal open.
    #[error("{}: expected to be the only signer that uses this journal, found it locked", file.display())]
    Locked {
        /// The journal.
        file: PathBuf,
    },
    /// The journal is damaged or something else.
    #[error("{}: byte {at}: expected {expected}, found {found}; nothing will be signed with an unreadable journal", file.display())]
    Malformed {
        /// The journal.
        file: PathBuf,
        /// Where.
        at: u64,
        /// What should be there.
        expected: String,
        /// What is.
        found: String,
    },
    /// The journal cannot be read or written.
    #[error("{}: {doing}: {source}", file.display())]
    Io {
        /// The journal.
        file: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// An earlier write failed, so what the disk holds is unknown.
    #[error("{}: an earlier write failed: expected the journal to be opened anew, found it still in use", file.display())]
    Stale {
        /// The journal.
        file: PathBuf,
    },
}

impl SigningError {
    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Locked { .. } => RetryClass::Transient,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => RetryClass::Resource,
            Self::Io { .. } | Self::Stale { .. } => RetryClass::Transient,
            Self::AlreadySigned { .. } | Self::Malformed { .. } => RetryClass::Deterministic,
        }
    }
}

/// What a key signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The debited account.
    pub account: u32,
    /// Its nonce.
    pub nonce: u32,
    /// The message.
    pub message: Digest,
}

/// Signs debits, each key once, across restarts.
#[derive(Debug)]
pub struct SigningKeyStore {
    file: PathBuf,
    journal: File,
    signed: HashMap<Digest, Signed>,
    entries: u64,
    stale: bool,
}

impl SigningKeyStore {
    /// Opens the journal at `file`, or starts one, and locks it.
    ///
    /// A last entry that a crash cut short is dropped: its signature was never released.
    ///
    /// # Errors
    /// [`SigningError`].
    pub fn open(file: impl AsRef<Path>) -> Result<Self, SigningError> {
        let file = file.as_ref().to_path_buf();
        let io = |doing| {
            let file = file.clone();
            move |source| SigningError::Io { file, doing, source }
        };
        let mut journal = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&file)
            .map_err(io("open the journal"))?;
        journal.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => SigningError::Locked { file: file.clone() },
            TryLockError::Error(source) => io("lock the journal")(source),
        })?;
        let mut bytes = Vec::new();
        journal.read_to_end(&mut bytes).map_err(io("read the journal"))?;

        let mut head = [0; HEAD_BYTES];
        head[..8].copy_from_slice(MAGIC);
        head[8..].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        if bytes.len() < HEAD_BYTES && head.starts_with(&bytes) {
            journal.set_len(0).map_err(io("start the journal"))?;
            journal.write_all(&head).map_err(io("start the journal"))?;
            journal.sync_all().map_err(io("start the journal"))?;
            sync_parent(&file).map_err(io("start the journal"))?;
            bytes = head.to_vec();
        }
        let malformed = |at: usize, expected: String, found: String| SigningError::Malformed {
            file: file.clone(),
            at: at as u64,
            expected,
            found,
        };
        let found_head = &bytes[..bytes.len().min(HEAD_BYTES)];
        if found_head != head {
            let show = |b: &[u8]| b.escape_ascii().to_string();
            return Err(malformed(0, show(&head), show(found_head)));
        }
        let (whole, cut) = bytes[HEAD_BYTES..].as_chunks::<ENTRY_BYTES>();
        let mut signed = HashMap::with_capacity(whole.len());
        for (number, entry) in (0u64..).zip(whole) {
            let at = HEAD_BYTES + ENTRY_BYTES * number as usize;
            let (key, entry) =
                parse_entry(number, entry).map_err(|(expected, found)| malformed(at, expected, found))?;
            if signed.insert(key, entry).is_some() {
                return Err(malformed(at, "each key once".into(), format!("key {} again", digest_hex(&key))));
            }
        }
        if !cut.is_empty() {
            let length = (bytes.len() - cut.len()) as u64;
            journal.set_len(length).map_err(io("drop the entry that was cut short"))?;
            journal.sync_all().map_err(io("drop the entry that was cut short"))?;
        }
        let entries = whole.len() as u64;
        Ok(Self { file, journal, signed, entries, stale: false })
    }

    /// What `key` signed, if anything.
    pub fn signed(&self, key: &Digest) -> Option<&Signed> {
        self.signed.get(key)
    }

    /// Signs `debit` with `key`. Asked again for the same debit, it returns the same signature.
    ///
    /// # Errors
    /// [`SigningError::AlreadySigned`] for any other message; otherwise what went wrong with the journal, in which case
    /// the key may count as used but no signature was released.
    pub fn sign(&mut self, key: &SecretKey, debit: &DebitMessage) -> Result<Signature, SigningError> {
        let public = key.public();
        let new = Signed { account: debit.from, nonce: debit.nonce, message: debit.hash() };
        match self.signed.get(&public) {
            Some(signed) if *signed == new => {}
            Some(signed) => {
                return Err(SigningError::AlreadySigned {
                    file: self.file.clone(),
                    key: public,
                    signed: Box::new(*signed),
                    message: new.message,
                    account: new.account,
                    nonce: new.nonce,
                })
            }
            None => self.append(public, new)?,
        }
        Ok(key.sign_unrecorded(&new.message))
    }

    fn append(&mut self, key: Digest, signed: Signed) -> Result<(), SigningError> {
        if self.stale {
            return Err(SigningError::Stale { file: self.file.clone() });
        }
        let entry = entry_bytes(self.entries, &key, &signed);
        let written = self.journal.write_all(&entry).and_then(|()| self.journal.sync_all());
        if let Err(source) = written {
            // How much of it reached the disk is unknown until the journal is read again.
            self.stale = true;
            return Err(SigningError::Io { file: self.file.clone(), doing: "record a signature", source });
        }
        self.entries += 1;
        self.signed.insert(key, signed);
        Ok(())
    }
}

fn entry_hash(number: u64, entry: &[u8]) -> blake3::Hash {
    blake3::Hasher::new().update(&number.to_le_bytes()).update(entry).finalize()
}

fn entry_bytes(number: u64, key: &Digest, signed: &Signed) -> [u8; ENTRY_BYTES] {
    let mut out = [0; ENTRY_BYTES];
    out[..32].copy_from_slice(&digest_to_bytes(key));
    out[32..36].copy_from_slice(&signed.account.to_le_bytes());
    out[36..40].copy_from_slice(&signed.nonce.to_le_bytes());
    out[40..72].copy_from_slice(&digest_to_bytes(&signed.message));
    let hash = entry_hash(number, &out[..SIGNED_BYTES]);
    out[SIGNED_BYTES..].copy_from_slice(hash.as_bytes());
    out
}

/// Key and content of an entry, or (expected, found).
fn parse_entry(number: u64, entry: &[u8; ENTRY_BYTES]) -> Result<(Digest, Signed), (String, String)> {
    let found = entry_hash(number, &entry[..SIGNED_BYTES]);
    let mut stored = [0; 32];
    stored.copy_from_slice(&entry[SIGNED_BYTES..]);
    let expected = blake3::Hash::from_bytes(stored);
    if found != expected {
        return Err((format!("an entry with BLAKE3 {expected}"), found.to_string()));
    }
    let digest = |at: usize| {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&entry[at..at + 32]);
        digest_from_bytes(&bytes).ok_or(("a canonical digest".to_owned(), format!("{bytes:02x?}")))
    };
    let int = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
    Ok((digest(0)?, Signed { account: int(32), nonce: int(36), message: digest(40)? }))
}

fn sync_parent(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

//! A small disk of a test's own, which it can fill: a tmpfs in a mount namespace that a process of the test keeps.

use std::{
    env, fs,
    fs::OpenOptions,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Child,
};

use nix::sys::statvfs::statvfs;

use crate::namespace;

/// The namespaces to try: as any user, and as root where users may make none.
const WAYS: [&[&str]; 2] = [&["--user", "--map-root-user"], &[]];
/// Mounts, says so, and lasts until its standard input ends.
const HOLD: &str = r#"mount -t tmpfs -o "size=$1" tmpfs "$0" && echo ready && exec cat"#;
/// A disk that others have as well is filled only if no more than this is free, in bytes.
const MOST_BORROWED_BYTES: u64 = 1 << 30;
const FILLER: &str = "filler";

/// A small disk. It goes with this value.
#[derive(Debug)]
pub struct Disk {
    holder: Option<Child>,
    inside: PathBuf,
    outside: PathBuf,
    join: Vec<String>,
}

impl Disk {
    /// A disk of `bytes` bytes at `folder`, which only processes started through [`Self::join`] see. Where no namespace can
    /// be had: a folder on a small disk of this machine.
    ///
    /// # Errors
    /// If there is neither, with what was tried.
    pub fn small(folder: &Path, bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut tried = Vec::new();
        for way in WAYS {
            match Self::mounted(folder, bytes, way) {
                Ok(disk) => return Ok(disk),
                Err(error) => tried.push(format!("unshare {way:?}: {error}")),
            }
        }
        let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        for place in [Some("/dev/shm".into()), runtime].into_iter().flatten() {
            let found = free_bytes(&place).unwrap_or(0);
            if (bytes..=MOST_BORROWED_BYTES).contains(&found) {
                let own = place.join(format!("ingot-faults-{}", std::process::id()));
                fs::create_dir_all(&own)?;
                return Ok(Self { holder: None, inside: own.clone(), outside: own, join: Vec::new() });
            }
            tried.push(format!("{}: {found} bytes free", place.display()));
        }
        Err(io::Error::other(format!("no small disk can be had: {}", tried.join("; "))))
    }

    fn mounted(folder: &Path, bytes: u64, way: &[&str]) -> io::Result<Self> {
        let (holder, join) = namespace::hold(HOLD, &[folder.as_os_str(), bytes.to_string().as_ref()], way)?;
        let pid = holder.id().to_string();
        let below = folder.strip_prefix("/").unwrap_or(folder);
        let outside = Path::new("/proc").join(pid).join("root").join(below);
        Ok(Self { holder: Some(holder), inside: folder.to_owned(), outside, join })
    }

    /// The command that a process is to be started through to see the disk.
    pub fn join(&self) -> Vec<String> {
        self.join.clone()
    }

    /// Where the disk is, for processes that see it.
    pub fn inside(&self) -> &Path {
        &self.inside
    }

    /// Where it is for this process.
    pub fn outside(&self) -> &Path {
        &self.outside
    }

    /// Bytes that are free.
    ///
    /// # Errors
    /// If the file system does not say.
    pub fn free_bytes(&self) -> io::Result<u64> {
        free_bytes(&self.outside)
    }

    /// Writes a file that leaves `left_bytes` free, or makes it longer; what is less already stays so.
    ///
    /// # Errors
    /// Other than that it is full.
    pub fn fill(&self, left_bytes: u64) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(self.outside.join(FILLER))?;
        let zeros = vec![0; 1 << 20];
        loop {
            let more = self.free_bytes()?.saturating_sub(left_bytes);
            let piece = usize::try_from(more).unwrap_or(usize::MAX).min(zeros.len());
            match file.write(zeros.get(..piece).unwrap_or_default()) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes that file.
    ///
    /// # Errors
    /// If it was not there, or cannot be removed.
    pub fn make_room(&self) -> io::Result<()> {
        fs::remove_file(self.outside.join(FILLER))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        match self.holder.as_mut() {
            Some(holder) => {
                // It may have ended this moment.
                let _ = holder.kill();
                let _ = holder.wait();
            }
            None => drop(fs::remove_dir_all(&self.outside)),
        }
    }
}

fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stat = statvfs(folder)?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

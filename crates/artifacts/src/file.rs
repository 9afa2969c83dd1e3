//! Files that are whole or absent, and reads that check what they return.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use crate::{ArtifactError, Blake3};

/// Attaches what was tried on which file.
pub(crate) fn context<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> ArtifactError + 'a {
    move |source| ArtifactError::Io { action, path: path.to_owned(), source }
}

/// Writes `bytes` to `path` so that after a crash at any instant the file is the old one or the new one, never a part.
///
/// A temporary file in the same folder is written, synced and renamed onto `path`; then the folder is synced. The
/// temporary file is removed when a step fails; a crash may leave it behind (see [`remove_leftovers`]).
///
/// # Errors
/// [`ArtifactError::Io`], naming the step and the file.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    let folder = folder_of(path);
    let (mut file, temporary) = create_temporary(folder, path.file_name().unwrap_or(OsStr::new("unnamed")))?;
    let written = write_and_sync(&mut file, &temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path).map_err(context("rename a new file to", path)));
    if let Err(error) = written {
        // The first error is the one to report; a temporary file that stays is collected later.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_folder(folder)
}

/// Reads `path` and checks it: the bytes returned have this hash and size.
///
/// # Errors
/// [`ArtifactError::Missing`] and [`ArtifactError::Corrupt`] say what was expected and found; [`ArtifactError::Io`] if
/// the file cannot be read.
pub fn read_verified(path: &Path, expected: Blake3, expected_size: u64) -> Result<Vec<u8>, ArtifactError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(ArtifactError::Missing { path: path.to_owned(), expected, expected_size })
        }
        Err(e) => return Err(context("open", path)(e)),
    };
    let length = file.metadata().map_err(context("read the size of", path))?.len();
    // The size is compared first, so that a wrong one never decides how much memory is taken.
    if length != expected_size {
        let (found, found_size) = hash_reader(&mut file, path)?;
        return Err(ArtifactError::Corrupt {
            path: path.to_owned(),
            expected,
            expected_size,
            found,
            found_size,
        });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.read_to_end(&mut bytes).map_err(context("read", path))?;
    let (found, found_size) = (Blake3::of(&bytes), bytes.len() as u64);
    if found != expected || found_size != expected_size {
        return Err(ArtifactError::Corrupt {
            path: path.to_owned(),
            expected,
            expected_size,
            found,
            found_size,
        });
    }
    Ok(bytes)
}

/// The hash and the size in bytes of a file, read in pieces.
///
/// # Errors
/// [`ArtifactError::Io`] if it cannot be read.
pub fn hash_file(path: &Path) -> Result<(Blake3, u64), ArtifactError> {
    hash_reader(&mut File::open(path).map_err(context("open", path))?, path)
}

/// Removes the temporary files that interrupted writes left in `folder`; returns their paths.
///
/// The caller makes sure that nobody is writing there: a write in progress would lose its file and fail.
///
/// # Errors
/// [`ArtifactError::Io`] if the folder cannot be listed or a file cannot be removed.
pub fn remove_leftovers(folder: &Path) -> Result<Vec<PathBuf>, ArtifactError> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(folder).map_err(context("list", folder))? {
        let path = entry.map_err(context("list", folder))?.path();
        if is_temporary(&path) && remove_if_there(&path)? {
            removed.push(path);
        }
    }
    Ok(removed)
}

/// Removes a file; `false` if there was none.
pub(crate) fn remove_if_there(path: &Path) -> Result<bool, ArtifactError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(context("remove", path)(e)),
    }
}

/// Makes a file as young as one that was written just now.
pub(crate) fn touch(path: &Path) -> Result<(), ArtifactError> {
    OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|file| file.set_modified(SystemTime::now()))
        .map_err(context("touch", path))
}

/// Makes renames and removals in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), ArtifactError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(context("sync", folder))
}

/// Whether this is the name of a file that [`write_atomically`] has not finished.
pub(crate) fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
    name.starts_with(b".") && name.ends_with(b".tmp")
}

/// The folder that holds `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A new file beside the one it will replace: a rename is atomic only within one file system.
fn create_temporary(folder: &Path, name: &OsStr) -> Result<(File, PathBuf), ArtifactError> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let mut temporary = OsStr::new(".").to_owned();
        temporary.push(name);
        temporary.push(format!(".{}-{}.tmp", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
        let path = folder.join(temporary);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, path)),
            // Left by a crashed process that had this process id.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(context("create", &path)(e)),
        }
    }
}

fn write_and_sync(file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    file.write_all(bytes).map_err(context("write", path))?;
    file.sync_all().map_err(context("sync", path))
}

pub(crate) fn hash_reader(reader: &mut impl Read, path: &Path) -> Result<(Blake3, u64), ArtifactError> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(reader).map_err(context("read", path))?;
    Ok((Blake3::from_bytes(*hasher.finalize().as_bytes()), hasher.count()))
}

#[cfg(test)]
mod tests {
    use ingot_types::RetryClass;

    use super::*;

    #[test]
    fn a_full_disk_is_a_resource_error_that_names_the_file() {
        let path = Path::new("/dev/full");
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        let error = write_and_sync(&mut file, path, b"x").unwrap_err();
        assert_eq!(error.retry_class(), RetryClass::Resource, "{error}");
        assert!(error.to_string().starts_with("cannot write /dev/full: No space left"), "{error}");
    }

    #[test]
    fn a_leftover_with_the_same_name_is_stepped_over() {
        let folder = tempfile::tempdir().unwrap();
        let (_, first) = create_temporary(folder.path(), OsStr::new("key")).unwrap();
        let number: u64 = first
            .to_str()
            .unwrap()
            .rsplit_once('-')
            .unwrap()
            .1
            .strip_suffix(".tmp")
            .unwrap()
            .parse()
            .unwrap();
        for next in number + 1..number + 50 {
            fs::write(folder.path().join(format!(".key.{}-{next}.tmp", process::id())), "old").unwrap();
        }
        write_atomically(&folder.path().join("key"), b"new").unwrap();
        assert_eq!(fs::read(folder.path().join("key")).unwrap(), b"new");
        assert_eq!(remove_leftovers(folder.path()).unwrap().len(), 50);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomically(&folder.path().join("none/key"), b"x").unwrap_err();
        assert!(error.to_string().contains("none/.key."), "{error}");
    }

    #[test]
    fn a_write_that_cannot_finish_leaves_the_old_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "kept").unwrap();
        write_atomically(&path, b"x").unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::read(path.join("inside")).unwrap(), b"kept");
    }
}

//! The token that all components of one deployment share.

use std::{
    fmt,
    fs::File,
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use crate::{
    mac::{same, MacKey},
    TokenError,
};

/// Least length of a token, in bytes: the handshake lets a stranger test guesses offline, so it must not be guessable.
const MIN_BYTES: usize = 16;
/// Greatest length of a token, in bytes.
const MAX_BYTES: usize = 4096;

/// A secret that both ends of a control connection hold. It never travels, and `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// A token from its bytes: 16 to 4096 of them, random ones.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TokenError> {
        if !(MIN_BYTES..=MAX_BYTES).contains(&bytes.len()) {
            return Err(TokenError::Length {
                found_bytes: bytes.len(),
                min_bytes: MIN_BYTES,
                max_bytes: MAX_BYTES,
            });
        }
        Ok(Self(blake3::derive_key("ingot 2026 control token", bytes)))
    }

    /// Reads a token from a file, without white space at its ends. Only the file's owner may have access to it.
    ///
    /// systemd hands credentials over as `root:root` files of mode 0440 (the group bits are the mask of an access list
    /// that names the service's user): those are accepted too.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let error = |source| TokenError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(error)?;
        let metadata = file.metadata().map_err(error)?;
        let mode = metadata.permissions().mode() & 0o7777;
        let is_credential = mode == 0o440 && metadata.uid() == 0 && metadata.gid() == 0;
        if mode & 0o077 != 0 && !is_credential {
            return Err(TokenError::TooOpen { path: path.to_owned(), mode });
        }
        let mut bytes = Vec::with_capacity(256);
        // Two bytes more than a token may have: enough to see that a file is none.
        file.take(MAX_BYTES as u64 + 2).read_to_end(&mut bytes).map_err(error)?;
        Self::from_bytes(bytes.trim_ascii())
    }

    /// A key for one purpose of this token.
    pub(crate) fn derive(&self, context: &str, material: &[u8]) -> MacKey {
        MacKey::derive(context, &[&self.0, material])
    }
}

impl PartialEq for Token {
    /// Takes the same time wherever they differ.
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_private_file_is_read_without_its_line_end() {
        let (_folder, path) = file(b"0123456789abcdef0123456789abcdef\n", 0o600);
        let token = Token::load(&path).unwrap();
        assert_eq!(token, Token::from_bytes(b"0123456789abcdef0123456789abcdef").unwrap());
        assert_ne!(token, Token::from_bytes(b"0123456789abcdef0123456789abcdeF").unwrap());
        assert_eq!(format!("{token:?}"), "Token(***)");
    }

    #[test]
    fn a_file_that_others_may_use_is_refused_by_name() {
        for mode in [0o640, 0o604, 0o660, 0o610, 0o644, 0o602] {
            let (_folder, path) = file(b"0123456789abcdef0123456789abcdef", mode);
            let error = Token::load(&path).unwrap_err();
            assert!(matches!(error, TokenError::TooOpen { .. }), "{mode:o}: {error}");
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            assert!(error.to_string().contains(&format!("{mode:04o}")), "{error}");
        }
    }

    #[test]
    fn tokens_of_wrong_length_and_missing_files_are_refused() {
        for length in [0, 15, 4097, 10_000] {
            let (_folder, path) = file(&vec![b'x'; length], 0o600);
            assert!(matches!(Token::load(&path), Err(TokenError::Length { .. })), "{length}");
        }
        let (folder, _path) = file(b"", 0o600);
        assert!(matches!(Token::load(&folder.path().join("absent")), Err(TokenError::Io { .. })));
    }
}

//! The secret that a peer shows over HTTP: `Authorization: Bearer …`.

use std::{fmt, fs, path::Path};

use ingot_wire::{Token, TokenError};

/// A secret of 16 to 4096 bytes of text, from a file that only its owner may read. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Bearer {
    text: String,
    token: Token,
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(***)")
    }
}

impl Bearer {
    /// A secret from its text.
    ///
    /// # Errors
    /// [`TokenError::Length`].
    pub fn new(text: &str) -> Result<Self, TokenError> {
        Ok(Self { text: text.to_owned(), token: Token::from_bytes(text.as_bytes())? })
    }

    /// Reads it from a file, without white space at its ends. Who else may read the file is checked as for other tokens.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let token = Token::load(path)?;
        let text = fs::read_to_string(path)
            .map_err(|source| TokenError::Io { path: path.to_owned(), source })?
            .trim()
            .to_owned();
        Ok(Self { text, token })
    }

    /// Whether a header's value shows this secret. It takes the same time wherever they differ.
    pub fn is_shown_by(&self, authorization: &str) -> bool {
        let shown = authorization.strip_prefix("Bearer ").map(str::trim).unwrap_or_default();
        Token::from_bytes(shown.as_bytes()).is_ok_and(|token| token == self.token)
    }

    /// The header's value that shows it.
    pub fn header(&self) -> String {
        format!("Bearer {}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_is_accepted() {
        let bearer = Bearer::new("0123456789abcdef").unwrap();
        assert!(bearer.is_shown_by(&bearer.header()));
        for other in ["", "Bearer ", "Bearer 0123456789abcdeF", "Basic 0123456789abcdef", "0123456789abcdef"]
        {
            assert!(!bearer.is_shown_by(other), "{other}");
        }
        assert_eq!(format!("{bearer:?}"), "Bearer(***)");
        assert!(Bearer::new("short").is_err());
    }
}

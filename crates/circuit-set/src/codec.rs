//! One encoding for everything structured that a circuit set stores: postcard.

use serde::{de::DeserializeOwned, Serialize};

use crate::SetError;

/// Encodes `value`; `what` names it in the error.
///
/// # Errors
/// [`SetError::Malformed`] if the type cannot be encoded.
pub fn encode<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>, SetError> {
    postcard::to_stdvec(value).map_err(|e| SetError::malformed(what, e))
}

/// Decodes all of `bytes`; `what` names it in the error.
///
/// # Errors
/// [`SetError::Malformed`] if the bytes hold something else, or more.
pub fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, SetError> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|e| SetError::malformed(what, e))?;
    if !rest.is_empty() {
        return Err(SetError::malformed(what, format!("{} bytes too many", rest.len())));
    }
    Ok(value)
}

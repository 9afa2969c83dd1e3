//! What a caught panic said.

use std::any::Any;

/// The text of a panic that `catch_unwind` or `join` gave; `None` if it was raised with something else than text.
pub fn panic_text(panic: &(dyn Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, panic_any};

    use super::panic_text;

    #[test]
    fn both_kinds_of_text_are_read_and_anything_else_is_none() {
        let of = |run: fn()| panic_text(&*catch_unwind(run).unwrap_err());
        assert_eq!(of(|| panic_any("said")).as_deref(), Some("said"));
        assert_eq!(of(|| panic_any(String::from("said at length"))).as_deref(), Some("said at length"));
        assert_eq!(of(|| panic_any(7_u8)), None);
    }
}

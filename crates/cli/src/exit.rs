//! Exit codes.

/// What a command ended with, besides an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done; for `verify`: valid. Exit code 0.
    Done,
    /// `verify`: invalid; `keygen --check`: a difference; `backup`: files were left out. Exit code 1.
    Refused,
    /// `verify`: nothing can be said. Exit code 2.
    Unknown,
    /// A component that ended before it was asked to: this exit code.
    Exit(u8),
}

impl Outcome {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Unknown => 2,
            Self::Exit(code) => code,
        }
    }
}

/// Exit code of a command that failed. The same as of bad arguments, and never 0 or 1, which are verdicts.
pub(crate) const FAILED: u8 = 2;
/// Exit code after SIGINT or SIGTERM.
pub(crate) const INTERRUPTED: u8 = 130;

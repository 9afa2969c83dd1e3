//! Two circuits that make the scheduler's proof cheap to verify.
//!
//! | step | verifies | tree, transcript | why |
//! |---|---|---|---|
//! | first | the scheduler | Goldilocks Poseidon2 | few queries at a high LDE factor: less to verify for the last |
//! | last | the first | BN254 Poseidon2 | what the wrapper circuit can hash |

mod circuit;
mod gates;
mod key;
mod parameters;

pub use circuit::Compression;
pub use gates::{FirstGates, LastGates};
pub use key::{Bn254Hasher, Bn254Transcript, CompressionKey, StepProof};
pub use parameters::{step_security, FIRST, LAST};

/// The first step: verifies proofs of circuits with the gates of the scheduler.
pub type First = Compression<ingot_ledger::recursion::RecursionGates, FirstGates>;
/// The last step: verifies proofs of the first.
pub type Last = Compression<FirstGates, LastGates>;

//! The gates of a circuit as data: straight-line programs, recorded from the gates' own evaluators.
//!
//! The proof library keeps its evaluators to itself, so a prover of our own needs them in another form. A builder of our
//! own ([`capture`]) sees each gate's type, runs its evaluator once over symbols, and keeps what it computed as a
//! [`Tape`]. An interpreter or a GPU kernel can evaluate tapes on any rows.

mod capture;
mod symbol;
mod tape;

pub use capture::gate_set;
pub use tape::{Op, Operand, Tape};

use boojum::cs::CSGeometry;

/// All gates of a circuit, in the order in which the proof library numbers them and gives them powers of α.
#[derive(Clone, Debug)]
pub struct GateSet {
    /// Over general-purpose columns. The index is the gate index of the verification key's selector tree.
    pub general: Vec<Gate>,
    /// Over columns of their own.
    pub specialized: Vec<SpecializedGate>,
    /// The general-purpose columns.
    pub geometry: CSGeometry,
    /// Variable columns of all specialized gates.
    pub specialized_variables: usize,
    /// Witness columns of all specialized gates.
    pub specialized_witnesses: usize,
    /// Constant columns of all specialized gates.
    pub specialized_constants: usize,
}

/// A gate: its constraints and how often they repeat on a row.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Name in the proof library.
    pub name: String,
    /// Repetitions on a row.
    pub repetitions: usize,
    /// What a repetition's columns lie after those of the one before.
    pub stride: Offsets,
    /// The constraints of one repetition; empty for markers.
    pub tape: Tape,
}

/// A gate over columns of its own.
#[derive(Clone, Debug)]
pub struct SpecializedGate {
    /// The gate.
    pub gate: Gate,
    /// Its first columns: variables and witnesses absolute, constants counted from the first specialized one.
    pub start: Offsets,
    /// Whether it stands for the lookup argument, which has no tape.
    pub is_lookup: bool,
}

/// Numbers of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Offsets {
    /// Of variables.
    pub variables: usize,
    /// Of witnesses.
    pub witnesses: usize,
    /// Of constants.
    pub constants: usize,
}

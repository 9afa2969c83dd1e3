//! Rounds 1 to 4: from the proofs of the basic circuits to one proof for the batch.
//!
//! | circuit | verifies | claims |
//! |---|---|---|
//! | leaf(t) | ≤ 2 proofs of basic circuit t | every request of its queue segment has a valid proof |
//! | node | 2 leaves, or 2 nodes | the same for a longer segment of one branch |
//! | tip | ≤ 3 nodes, one per branch | the same for the three whole queues |
//! | scheduler | 1 tip | the instances chain into one batch with this public input |
//!
//! A *request* (basic circuit type, public input) stands in a *recursion queue* until a proof answers it. The public
//! input of the first three is H9 over their input, which names every verification key below them by its
//! commitment; only the scheduler knows the keys themselves, as constants.
//!
//! A key's commitment does not cover its geometry: each verifying circuit has the geometry of what it verifies as a
//! constant ([`VerifiedCircuit`]), and key generation asserts that all leaves and the node share one
//! ([`assert_identical`]).

pub mod geometry;
pub mod input;
pub mod leaf;
pub mod node;
pub mod request;
pub mod scheduler;
pub mod shape;
pub mod statement;
pub mod tip;
pub mod verify;
pub mod witness;

pub use geometry::RecursionGates;
pub use input::{vk_commitment, LeafInput, LeafParameters, NodeInput, RecursionKeys, TipInput};
pub use leaf::{LeafCircuit, LeafWitness};
pub use node::{NodeCircuit, NodeWitness};
pub use request::RequestQueue;
pub use scheduler::{SchedulerCircuit, SchedulerConstants, SchedulerWitness};
pub use statement::{Observables, StatementWitness};
pub use tip::{TipCircuit, TipWitness};
pub use verify::{assert_identical, VerifiedCircuit};
pub use witness::BatchRecursion;

/// Branches: one per basic circuit type, numbered 1 to 3.
pub const BRANCHES: usize = 3;
/// Basic proofs that a leaf verifies.
pub const LEAF_ARITY: usize = 2;
/// Leaves or nodes that a node verifies.
pub const NODE_ARITY: usize = 2;
/// Requests of a node whose children are leaves, at most.
pub const REQUESTS_OVER_LEAVES: usize = LEAF_ARITY * NODE_ARITY;
/// Instances of each basic circuit type that the scheduler has slots for.
pub const CAPACITY: [usize; BRANCHES] = crate::basic::instances::MAX_INSTANCES;

/// Rows of leaf, node and scheduler.
pub const TRACE_LEN: usize = 1 << 14;
/// Rows of the tip, which verifies three proofs.
pub const TIP_TRACE_LEN: usize = 1 << 15;

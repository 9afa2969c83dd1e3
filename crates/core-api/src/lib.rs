//! What a rollup's core and the appliance say to each other: ZKsync's prover API in JSON, the client and the server
//! side of it, and what both need (bearer secrets, bounded bodies, errors with a reason).
//!
//! Two dialects are spoken. In the older one (`v17`) the prover's gateway asks the core (`/proof_generation_data`,
//! `/submit_proof/{n}`); in today's the core asks the gateway (`/submit_request_for_proofs`, `/poll_generated_proofs`).
//! The messages are the same but for chain id and sealing time, which today's have.
//!
//! **Invariant:** nothing here knows a circuit; what is inside witness inputs is a [`BatchFormat`]'s business.

mod bearer;
mod blocking;
mod body;
mod client;
mod format;
mod messages;
mod problem;
mod server;

pub use bearer::Bearer;
pub use blocking::blocking;
pub use body::{read_body, read_json};
pub use client::{reason_in, ClientError, CoreClient, HttpClient, Response};
pub use format::{BatchFormat, FormatError};
pub use messages::{
    AckRequest, FetchRequest, FetchResponse, L1BatchId, L1VerifierConfig, PollRequest, PollResponse,
    ProofForL1, ProofGenerationData, SealedAt, SubmitProofRequest, SubmitProofResponse,
};
pub use problem::Problem;
pub use server::{Server, ServerError, ServerOptions};

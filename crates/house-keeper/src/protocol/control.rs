//! Requests, answers and notices of a control connection.

use std::collections::BTreeMap;

use ingot_job_store::{
    ArtifactName, CountKey, Delivery, DeliveryOutcome, Filter, Job, JobSpec, Lease, Token,
};
use ingot_types::{BatchId, JobKey, RetryClass};
use serde::{Deserialize, Serialize};

use super::{
    BackupAnswer, BackupRequest, BatchSummary, Grant, OperatorAnswer, OperatorRequest, OutboxEntry,
    ProverLoad, Reservation, Submission, SubmitOutcome, WorkerInfo,
};

/// What a peer sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToHouseKeeper {
    /// A request; its answer repeats `id`.
    Request {
        /// Chosen by the peer; not in use by another request under way.
        id: u64,
        /// What is asked.
        request: Request,
    },
    /// The peer no longer wants the answer to this request. A lease that was about to be granted stays in the queue.
    Cancel {
        /// The request.
        id: u64,
    },
}

/// What the house keeper sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromHouseKeeper {
    /// An answer.
    Answer {
        /// The request's number.
        id: u64,
        /// The answer, or why there is none.
        result: Result<Answer, Denial>,
    },
    /// Something the peer did not ask for.
    Notice(Notice),
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// The first job in queue order that fits, waiting up to `wait_ms` for one → `Lease`.
    Lease {
        /// Which jobs; version, zone and group are narrowed to the registration's.
        filter: Filter,
        /// How long to wait, in milliseconds.
        wait_ms: u64,
    },
    /// Prolongs leases → `Lost`.
    Heartbeat {
        /// The leases.
        leases: Vec<(JobKey, Token)>,
    },
    /// Completes a job whose outputs are stored → `Done`. Repeated under the same token → `Done` again.
    Complete {
        /// The job.
        key: JobKey,
        /// The lease.
        token: Token,
        /// What it made.
        outputs: Vec<ArtifactName>,
        /// The jobs it creates.
        new_jobs: Vec<JobSpec>,
    },
    /// Reports a failed attempt → `Done`.
    Fail {
        /// The job.
        key: JobKey,
        /// The lease.
        token: Token,
        /// What another attempt would be worth.
        class: RetryClass,
        /// What happened, in words.
        reason: String,
    },
    /// Hands a job back untouched → `Done`.
    Release {
        /// The job.
        key: JobKey,
        /// The lease.
        token: Token,
    },
    /// A prover has received the witness vector: it swaps the sender's lease for its own → `Lease`.
    HandOver {
        /// The job.
        key: JobKey,
        /// The sender's lease.
        token: Token,
    },
    /// A file of a dependency is missing or damaged: its maker runs again, and the reporter's lease ends → `Done`.
    BadFile {
        /// The job that made the file.
        maker: JobKey,
        /// The reporter's job.
        key: JobKey,
        /// The reporter's lease.
        token: Token,
        /// What was found.
        reason: String,
    },
    /// A slab of a matching prover for a synthesized witness vector, waiting up to `wait_ms` for one → `Grant`.
    Slab {
        /// The job.
        key: JobKey,
        /// The lease.
        token: Token,
        /// Size of the witness vector, in bytes.
        bytes: u64,
        /// How long to wait, in milliseconds.
        wait_ms: u64,
    },
    /// A prover has, or has not, set the slab of a reservation aside → `Done`.
    SlabReserved {
        /// The ticket.
        ticket: u64,
        /// Whether.
        accepted: bool,
    },
    /// A grant was used, or is not wanted any more → `Done`.
    SlabReturned {
        /// The ticket.
        ticket: u64,
    },
    /// A prover's load changed → `Done`.
    Load(ProverLoad),
    /// What a worker is doing, for people → `Done`.
    Status(String),
    /// The worker takes no new work (it is stopping) → `Done`.
    Draining,
    /// A batch to prove → `Submitted`.
    Submit(Submission),
    /// Batches that are in the store, and optionally those archived → `Batches`.
    Batches {
        /// With archived ones.
        archived: bool,
    },
    /// One batch; waits up to `wait_ms` until its change differs from `known` → `Batch`.
    WatchBatch {
        /// Which.
        batch: BatchId,
        /// The change that the peer knows.
        known: Option<u64>,
        /// How long to wait, in milliseconds.
        wait_ms: u64,
    },
    /// The jobs of a batch → `Jobs`.
    Jobs {
        /// Which.
        batch: BatchId,
    },
    /// One job → `Jobs`, with one or none.
    Job {
        /// Which.
        key: JobKey,
    },
    /// How many jobs there are → `Counts`.
    Counts {
        /// Of one batch, or of all.
        batch: Option<BatchId>,
    },
    /// Who is there → `Workers`.
    Workers,
    /// Gives a failed or quarantined job all its attempts again → `Done`.
    Requeue {
        /// Which.
        key: JobKey,
    },
    /// Makes a done job run again → `Done`.
    Restart {
        /// Which.
        key: JobKey,
    },
    /// Forgets a batch → `Done`.
    RemoveBatch {
        /// Which.
        batch: BatchId,
    },
    /// Changes a batch's priority → `Done`.
    SetPriority {
        /// Which.
        batch: BatchId,
        /// Higher goes first.
        priority: i32,
    },
    /// Tells a worker to take no new work, or to take it again → `Done`.
    Drain {
        /// The worker's name.
        worker: String,
        /// Whether.
        draining: bool,
    },
    /// The proofs that a destination waits for and that are there, waiting up to `wait_ms` for one → `Outbox`.
    Outbox {
        /// Who.
        destination: String,
        /// Leaves out what comes after a batch of the same chain that is not proved.
        in_order: bool,
        /// How long to wait, in milliseconds.
        wait_ms: u64,
    },
    /// What an attempt to deliver a proof came to → `Done`.
    Delivered {
        /// Whose proof.
        batch: BatchId,
        /// What it came to.
        outcome: DeliveryOutcome,
    },
    /// All deliveries that are known → `Deliveries`.
    Deliveries,
    /// Begins anew with a delivery, such as one that was refused → `Done`.
    RetryDelivery {
        /// Whose proof.
        batch: BatchId,
    },
    /// What people ask → `Operator`.
    Operator(OperatorRequest),
    /// About a backup → `Backup`.
    Backup(BackupRequest),
    /// The final proof of one batch that a destination asked for, acknowledged or not → `Outbox`, empty if there is none
    /// yet.
    FinalProof {
        /// Who asked for it.
        destination: String,
        /// Whose proof.
        batch: BatchId,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // beside the requests
pub enum Answer {
    Done,
    Lease(Option<Box<Lease>>),
    /// The leases among those asked about that the peer no longer has.
    Lost(Vec<(JobKey, Token)>),
    Grant(Option<Grant>),
    Submitted(SubmitOutcome),
    Batches(Vec<BatchSummary>),
    Batch(Option<Box<BatchSummary>>),
    Jobs(Vec<Job>),
    Counts(BTreeMap<CountKey, u64>),
    Workers(Vec<WorkerInfo>),
    Outbox(Vec<OutboxEntry>),
    Deliveries(Vec<Delivery>),
    Operator(OperatorAnswer),
    Backup(BackupAnswer),
}

/// Why a request was not carried out. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Denial {
    /// The lease is no longer the peer's.
    #[error("{0}")]
    Stale(String),
    /// It does not fit the state of things.
    #[error("{0}")]
    Refused(String),
    /// Intake has stopped: disk, or the house keeper is stopping. Try again later.
    #[error("{0}")]
    Unavailable(String),
    /// The store failed.
    #[error("{reason}")]
    Store {
        /// What happened.
        reason: String,
        /// What another attempt would be worth.
        retry: RetryClass,
    },
}

/// What the house keeper says unasked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Notice {
    /// A lease has ended without the holder's doing: it should stop working on the job.
    LeaseLost {
        /// The job.
        key: JobKey,
        /// The lease that is no longer good.
        token: Token,
    },
    /// A prover is to set a slab aside, and to answer `SlabReserved`.
    Reserve(Reservation),
    /// A reservation is not needed any more.
    CancelReservation {
        /// The ticket.
        ticket: u64,
    },
    /// Take no new work, or take it again.
    Drain(bool),
    /// The house keeper is stopping: leases stay good, connect again.
    Stopping,
}

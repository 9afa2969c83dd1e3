//! Round 0: the circuits that prove the batch's own execution, and the instances they are cut into.

pub mod closed_form;
pub mod executor;
pub mod hasher;
pub mod instances;
mod path;
pub mod signature;

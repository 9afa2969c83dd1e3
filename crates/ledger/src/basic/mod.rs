//! Round 0: the circuits that prove the batch's own execution, and the instances they are cut into.

pub mod closed_form;
pub mod executor;
mod path;
pub mod hasher;
pub mod instances;
pub mod signature;

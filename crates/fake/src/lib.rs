//! For tests only, and never linked into `ingot`: the services over fake work, and what fault tests do to processes and
//! networks.

pub mod bench;
pub mod cluster;
pub mod link;
pub mod proof;
pub mod work;

//! For tests only, and never linked into `ingot`: the services over fake work, and what fault tests do to processes, disks and
//! networks.

pub mod bench;
pub mod cluster;
pub mod disk;
pub mod journal;
pub mod link;
mod namespace;
pub mod proof;
pub mod submit;
pub mod work;

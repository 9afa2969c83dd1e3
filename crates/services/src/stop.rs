//! The flag that ends waiting: the client's, so that one flag ends everything.

pub use ingot_house_keeper::client::Stop;

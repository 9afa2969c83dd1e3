//! Everything that is said between the house keeper and its peers: whatever bytes come, decoding ends, and what was decoded
//! says the same when it is encoded and decoded again.
#![no_main]
use ingot_house_keeper::protocol::{
    ArtifactReply, ArtifactRequest, FromHouseKeeper, Registration, ToHouseKeeper,
};
use libfuzzer_sys::fuzz_target;
use serde::{de::DeserializeOwned, Serialize};

fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(message) = postcard::from_bytes::<T>(bytes) {
        let again = postcard::to_stdvec(&message).unwrap();
        assert_eq!(postcard::from_bytes::<T>(&again).unwrap(), message);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 5 {
        0 => check::<ToHouseKeeper>(bytes),
        1 => check::<FromHouseKeeper>(bytes),
        2 => check::<Registration>(bytes),
        3 => check::<ArtifactRequest>(bytes),
        _ => check::<ArtifactReply>(bytes),
    }
});

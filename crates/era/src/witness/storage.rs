//! The storage that the virtual machine runs on: slots as they were before the batch, refunds and costs as the core had them.

use std::vec::IntoIter;

use zkevm_test_harness::{
    ethereum_types::U256,
    zk_evm::{
        abstractions::{Storage, StorageAccessRefund},
        aux_structures::{LogQuery, PubdataCost, Timestamp},
        testing::storage::InMemoryStorage,
        zkevm_opcode_defs::system_params::TRANSIENT_STORAGE_AUX_BYTE,
    },
};

use super::fault::Fault;
use crate::inputs::StorageState;

/// Storage of a batch.
#[derive(Debug)]
pub(crate) struct BatchStorage {
    slots: InMemoryStorage,
    refunds: IntoIter<u32>,
    pubdata_costs: IntoIter<i32>,
    fault: Fault,
}

impl BatchStorage {
    pub fn new(state: StorageState, refunds: Vec<u32>, pubdata_costs: Vec<i32>, fault: Fault) -> Self {
        let mut slots = InMemoryStorage::new();
        let values = state.read_storage_key.into_iter().map(|(slot, value)| {
            let [key, value] = [slot.key, value].map(|hash| U256::from_big_endian(hash.as_bytes()));
            (0, slot.account.address, key, value)
        });
        slots.populate(values.collect());
        Self { slots, refunds: refunds.into_iter(), pubdata_costs: pubdata_costs.into_iter(), fault }
    }
}

impl Storage for BatchStorage {
    fn get_access_refund(&mut self, _cycle: u32, query: &LogQuery) -> StorageAccessRefund {
        if query.aux_byte == TRANSIENT_STORAGE_AUX_BYTE {
            return StorageAccessRefund::Warm { ergs: 0 };
        }
        match self.refunds.next() {
            Some(0) => StorageAccessRefund::Cold,
            Some(ergs) => StorageAccessRefund::Warm { ergs },
            None => self
                .fault
                .raise("the batch accesses storage more often than storage_refunds has entries".into()),
        }
    }

    fn execute_partial_query(&mut self, cycle: u32, query: LogQuery) -> (LogQuery, PubdataCost) {
        let (query, _) = self.slots.execute_partial_query(cycle, query);
        match self.pubdata_costs.next() {
            Some(cost) => (query, PubdataCost(cost)),
            None => self
                .fault
                .raise("the batch accesses storage more often than pubdata_costs has entries".into()),
        }
    }

    fn start_frame(&mut self, timestamp: Timestamp) {
        self.slots.start_frame(timestamp);
    }

    fn finish_frame(&mut self, timestamp: Timestamp, panicked: bool) {
        self.slots.finish_frame(timestamp, panicked);
    }

    fn start_new_tx(&mut self, timestamp: Timestamp) {
        self.slots.start_new_tx(timestamp);
    }
}

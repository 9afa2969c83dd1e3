//! The same witness gives the same bytes as the proof library's own prover.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, sync::Arc};

use ingot_circuit_set::{
    encode,
    field::{Vk, Worker, F},
    CircuitSet, SetError, VkSource,
};
use ingot_field::Level;
use ingot_prover::{cpu::CpuDevice, prove_with_library, Prepared};
use ingot_test_set::TestSet;
use ingot_types::{AggregationRound, CircuitKey};

struct Vks(BTreeMap<CircuitKey, Arc<Vk>>);

impl VkSource for Vks {
    fn vk(&self, key: CircuitKey) -> Result<Arc<Vk>, SetError> {
        Ok(self.0[&key].clone())
    }
}

#[test]
fn the_chain_of_the_test_set() {
    let key = CircuitKey::new(AggregationRound::Basic, 1);
    for rows_log2 in [8, 9, 11] {
        let set = TestSet::new(rows_log2);
        let worker = Worker::new_with_num_threads(2);
        let vks = Vks(BTreeMap::new());
        let setup = set.setup(key, &vks, &worker).unwrap();
        let input = [3, 5, 7, 11].map(F::from_nonreduced_u64);
        let witness = set.synthesize(key, &encode("input", &input).unwrap(), &setup.hint, &vks).unwrap();
        let theirs =
            prove_with_library(&set, key, &witness, &setup, &setup.lde(&worker), &vks, &worker).unwrap();
        for level in [Level::Base, Level::host()] {
            let ours = Prepared::on(CpuDevice::at(level), &set, key, &setup).unwrap();
            let ours = ours.prove_unchecked(&witness).unwrap();
            assert_eq!(ours.public_inputs, theirs.public_inputs);
            assert_eq!(ours.witness_oracle_cap, theirs.witness_oracle_cap);
            assert_eq!(ours.stage_2_oracle_cap, theirs.stage_2_oracle_cap);
            assert_eq!(ours.quotient_oracle_cap, theirs.quotient_oracle_cap);
            assert_eq!(ours.values_at_z, theirs.values_at_z);
            assert_eq!(ours.values_at_0, theirs.values_at_0);
            assert_eq!(ours.fri_base_oracle_cap, theirs.fri_base_oracle_cap);
            assert_eq!(encode("proof", &ours).unwrap(), encode("proof", &theirs).unwrap());
        }
    }
}

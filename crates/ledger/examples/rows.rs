//! Counts rows.
#![feature(allocator_api)]
#![feature(generic_const_exprs)]
use boojum::config::*;
use boojum::cs::cs_builder::new_builder;
use boojum::cs::cs_builder_reference::CsReferenceImplementationBuilder;
use boojum::cs::traits::cs::ConstraintSystem;
use boojum::dag::StCircuitResolver;
use ingot_circuit_set::{field::*, SetCircuit};
use ingot_ledger::basic::*;
fn rows<C: SetCircuit>(name: &str, c: &C) {
    let b = CsReferenceImplementationBuilder::<F, Packed, SetupCSConfig, StCircuitResolver<F, <SetupCSConfig as CSConfig>::ResolverConfig>>::new(C::geometry(), 1 << 17);
    let mut cs = C::configure_builder(new_builder::<_, F>(b)).build(1 << 24);
    c.add_tables(&mut cs);
    c.synthesize(&mut cs);
    println!("{name}: general rows {} ", cs.next_available_row());
    cs.pad_and_shrink();
    let a = cs.into_assembly::<std::alloc::Global>();
    a.print_gate_stats();
    println!("{name}: copy cols {} wit cols {}", a.copy_permutation_data.len(), a.witness_placement_data.len());
}
fn real<C: SetCircuit>(name: &str, c: &C) {
    let w = Worker::new_with_num_threads(2);
    let cfg = ProofConfig { fri_lde_factor: 16, merkle_tree_cap_size: 16, fri_folding_schedule: None, security_level: 176, pow_bits: 0 };
    let t = std::time::Instant::now();
    let k = ingot_circuit_set::setup_key(c, &cfg, &w).unwrap();
    println!("{name}: setup {:?} part {} qd {} trace {}", t.elapsed(), k.prover_part().unwrap().len(), k.vk.fixed_parameters.quotient_degree, k.hint.final_trace_len);
    let t = std::time::Instant::now();
    let wv = ingot_circuit_set::witness_vector(c, &k.hint).unwrap();
    println!("{name}: witness {:?} {}", t.elapsed(), wv.all_values.len());
    let lde = k.lde(&w);
    println!("{name}: lde {:?}", t.elapsed());
    let asm = ingot_circuit_set::empty_assembly(c, &k.hint);
    let t = std::time::Instant::now();
    let proof = asm.prove_from_witness_vec_and_precomputations::<Ext, Transcript, TreeHasher, boojum::cs::implementations::pow::NoPow>(&wv, cfg, &k.base, &lde, &k.tree, &k.vk, &k.variables_hint, &k.witness_hint, (), &w);
    println!("{name}: prove {:?} ", t.elapsed());
    let ok = ingot_circuit_set::verifier::<C>().verify::<TreeHasher, Transcript, boojum::cs::implementations::pow::NoPow>((), &k.vk, &proof);
    println!("{name}: ok {ok} proof {} ", ingot_circuit_set::encode("p", &proof).unwrap().len());
    println!("{}", std::fs::read_to_string("/proc/self/status").unwrap().lines().filter(|l| l.starts_with("VmHWM")).collect::<String>());
}
fn main() {
    if std::env::args().nth(1).is_some() {
        real("executor", &executor::TransactionExecutor::empty());
        real("signature", &signature::SignatureVerifier::empty());
        real("hasher", &hasher::PubdataHasher::empty());
        return;
    }
    rows("executor", &executor::TransactionExecutor::empty());
    rows("signature", &signature::SignatureVerifier::empty());
    rows("hasher", &hasher::PubdataHasher::empty());
}

//! Circuits that together use every gate of the proof library, over general and over specialized columns, and both kinds
//! of lookups: the same bytes as the library's own prover.
#![feature(allocator_api)]
#![feature(generic_const_exprs)]
#![allow(missing_docs, incomplete_features, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::HashMap;

use blake2::Blake2s256;
use boojum::{
    algebraic_props::poseidon2_parameters::Poseidon2GoldilocksExternalMatrix,
    cs::{
        cs_builder::{CsBuilder, CsBuilderImpl},
        gates::*,
        implementations::pow::NoPow,
        toolboxes::{gate_config::GateConfigurationHolder, static_toolbox::StaticToolboxHolder},
        traits::{circuit::CircuitBuilder, cs::ConstraintSystem, gate::GatePlacementStrategy},
        CSGeometry, LookupParameters, Variable,
    },
    field::{goldilocks::GoldilocksExt2, ExtensionField, Field, U64Representable},
    gadgets::{
        tables::{
            chunk4bits::{create_4bit_chunk_split_table, Split4BitChunkTable},
            trixor4::{create_tri_xor_table, TriXor4Table},
        },
        traits::round_function::{BuildableCircuitRoundFunction, CircuitRoundFunction},
    },
};
use ingot_circuit_set::{
    field::{RoundFunction, F},
    gate_set, SetCircuit,
};
use ingot_prover::ProverError;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::{config, same_bytes};

const GENERAL: GatePlacementStrategy = GatePlacementStrategy::UseGeneralPurposeColumns;

const fn own(num_repetitions: usize) -> GatePlacementStrategy {
    GatePlacementStrategy::UseSpecializedColumns { num_repetitions, share_constants: false }
}

type ExtFma = FmaGateInExtensionWithoutConstant<F, GoldilocksExt2>;
type Matrix = MatrixMultiplicationGate<F, 12, Poseidon2GoldilocksExternalMatrix>;

fn f(x: u64) -> F {
    F::from_u64_unchecked(x)
}

fn alloc<CS: ConstraintSystem<F>>(cs: &mut CS, x: u64) -> Variable {
    cs.alloc_single_variable_from_witness(f(x))
}

fn allocs<CS: ConstraintSystem<F>, const N: usize>(cs: &mut CS, first: u64) -> [Variable; N] {
    std::array::from_fn(|i| alloc(cs, first + i as u64))
}

fn ext(a: u64, b: u64) -> ExtensionField<F, 2, GoldilocksExt2> {
    ExtensionField::from_coeff_in_base([f(a), f(b)])
}

/// Every gate over general-purpose columns.
#[derive(Clone, Copy, Debug)]
struct AllGates {
    rows_log2: u32,
}

impl CircuitBuilder<F> for AllGates {
    fn geometry() -> CSGeometry {
        CSGeometry {
            num_columns_under_copy_permutation: 140,
            num_witness_columns: 2,
            num_constant_columns: 8,
            max_allowed_constraint_degree: 8,
        }
    }

    fn lookup_parameters() -> LookupParameters {
        LookupParameters::NoLookup
    }

    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        let builder = ConstantsAllocatorGate::configure_builder(builder, GENERAL);
        let builder = BooleanConstraintGate::configure_builder(builder, GENERAL);
        let builder = BoundedBooleanConstraintGate::configure_builder(builder, GENERAL, 3);
        let builder = FmaGateInBaseFieldWithoutConstant::configure_builder(builder, GENERAL);
        let builder = ExtFma::configure_builder(builder, GENERAL);
        let builder = SelectionGate::configure_builder(builder, GENERAL);
        let builder = ParallelSelectionGate::<4>::configure_builder(builder, GENERAL);
        let builder = ConditionalSwapGate::<4>::configure_builder(builder, GENERAL);
        let builder = DotProductGate::<4>::configure_builder(builder, GENERAL);
        let builder = Matrix::configure_builder(builder, GENERAL);
        let builder = ReductionGate::<F, 4>::configure_builder(builder, GENERAL);
        let builder = builder.allow_gate::<ReductionByPowersGate<F, 4>, _>(
            GENERAL,
            (),
            HashMap::<ReductionByPowersGateParams<F>, (usize, usize)>::new(),
        );
        let builder = SimpleNonlinearityGate::<F, 7>::configure_builder(builder, GENERAL);
        let builder = builder.allow_gate::<QuadraticCombinationGate<4>, _>(
            GENERAL,
            (),
            NextGateCounterWithoutParams::None,
        );
        let builder = builder.allow_gate::<U32AddGate, _>(GENERAL, (), NextGateCounterWithoutParams::None);
        let builder = builder.allow_gate::<U32SubGate, _>(GENERAL, (), NextGateCounterWithoutParams::None);
        let builder = U8x4FMAGate::configure_builder(builder, GENERAL);
        let builder = U32AddCarryAsChunkGate::configure_builder(builder, GENERAL);
        let builder = U32TriAddCarryAsChunkGate::configure_builder(builder, GENERAL);
        let builder = UIntXAddGate::<16>::configure_builder(builder, GENERAL);
        let builder = UIntXAddGate::<32>::configure_builder(builder, GENERAL);
        let builder = ZeroCheckGate::configure_builder(builder, GENERAL, true);
        let builder = RoundFunction::configure_builder(builder, GENERAL);
        let builder = PublicInputGate::configure_builder(builder, GENERAL);
        NopGate::configure_builder(builder, GENERAL)
    }
}

/// Uses every gate of [`AllGates`] some times.
fn use_all<CS: ConstraintSystem<F>>(cs: &mut CS) -> Variable {
    let zero = ConstantsAllocatorGate::<F>::allocate_constant(cs, F::ZERO);
    let yes = BooleanConstraintGate::alloc_boolean_from_witness(cs, true);
    let no = BoundedBooleanConstraintGate::alloc_boolean_from_witness(cs, false);
    let mut x = alloc(cs, 0x1234_5678_9abc);
    for round in 0..9u64 {
        let [a, b, c, d] = allocs::<_, 4>(cs, 1000 * round + 3);
        let flag = if round % 2 == 0 { yes } else { no };
        x = FmaGateInBaseFieldWithoutConstant::compute_fma(cs, f(round % 3), (x, a), f(7), b);
        let pair =
            ExtFma::compute_fma_in_extension(cs, ext(3, round % 2), ([a, x], [c, d]), ext(5, 0), [b, b]);
        x = SelectionGate::select(cs, pair[0], pair[1], flag);
        let chosen = ParallelSelectionGate::<4>::select(cs, &[a, b, c, x], &[d, c, b, a], flag);
        let (left, right) = ConditionalSwapGate::<4>::conditionally_swap(cs, &chosen, &[x, x, a, b], flag);
        x = DotProductGate::<4>::compute_dot_product(cs, std::array::from_fn(|i| (left[i], right[i])));
        let product = Matrix::compute_multiplication(cs, [x, a, b, c, d, a, b, c, d, a, b, zero]);
        x = ReductionGate::<F, 4>::reduce_terms(
            cs,
            [f(1), f(2), f(round % 4), f(9)],
            [product[0], product[3], x, a],
        );
        x = ReductionByPowersGate::<F, 4>::reduce_terms(cs, f(1 << (round % 2 + 4)), [x, a, b, c]);
        x = SimpleNonlinearityGate::<F, 7>::apply_nonlinearity(cs, x, f(round % 2));
        // a · b − a · b + 0 + 0 = 0
        let minus = FmaGateInBaseFieldWithoutConstant::compute_fma(cs, F::MINUS_ONE, (a, yes), F::ZERO, zero);
        QuadraticCombinationGate::<4> { pairs: [(a, b), (minus, b), (zero, x), (x, zero)] }.add_to_cs(cs);
        let word = alloc(cs, 0xffff_fff0 + round);
        let (sum, _) = U32AddGate::perform_addition(cs, word, a, flag);
        // By hand: the library's own helper computes another witness than its gate wants.
        let [less, minuend] = [alloc(cs, 5 + round), alloc(cs, 9 + round)];
        let [difference, wrapped] = [alloc(cs, 4), alloc(cs, (1 << 32) - 4 - (round % 2))];
        let gate = U32SubGate { a: minuend, b: less, borrow_in: no, c: difference, borrow_out: no };
        gate.add_to_cs(cs);
        let borrow_in = if round % 2 == 1 { yes } else { no };
        U32SubGate { a: less, b: minuend, borrow_in, c: wrapped, borrow_out: yes }.add_to_cs(cs);
        let _ = sum;
        let bytes: [[Variable; 4]; 4] = std::array::from_fn(|i| allocs::<_, 4>(cs, 200 + round + i as u64));
        let _ = U8x4FMAGate::perform_fma(cs, bytes[0], bytes[1], bytes[2], bytes[3]);
        let _ = U32AddCarryAsChunkGate::perform_addition(cs, bytes[0], bytes[1]);
        let _ = U32TriAddCarryAsChunkGate::perform_addition(cs, bytes[0], bytes[1], bytes[2]);
        let short = alloc(cs, 0xfff0 + round);
        let _ = UIntXAddGate::<16>::perform_addition(cs, short, short, flag);
        let _ = UIntXAddGate::<32>::perform_addition(cs, word, word, flag);
        let is_zero = ZeroCheckGate::check_if_zero(cs, if round == 4 { zero } else { x });
        x = SelectionGate::select(cs, x, is_zero, flag);
        let state = RoundFunction::compute_round_function(cs, [x, a, b, c, d, a, b, c, d, a, b, zero]);
        x = state[5];
    }
    x
}

impl SetCircuit for AllGates {
    fn trace_len(&self) -> usize {
        1 << self.rows_log2
    }

    fn max_variables(&self) -> usize {
        1 << 14
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        let x = use_all(cs);
        for input in [x, x] {
            PublicInputGate::new(input).add_to_cs(cs);
        }
        let y = alloc(cs, 77);
        PublicInputGate::new(y).add_to_cs(cs);
        NopGate::new().add_to_cs(cs);
    }
}

#[test]
fn every_gate_over_general_columns() {
    let gates = gate_set::<AllGates>().unwrap();
    assert_eq!(gates.general.len(), 23, "two of the 25 share evaluators with others");
    same_bytes::<_, NoPow>(&AllGates { rows_log2: 8 }, config(8, 4, 6, 0));
}

#[test]
fn every_extension_factor_and_cap() {
    for (lde, cap) in [(2, 1), (2, 16), (4, 2), (8, 16), (16, 64), (32, 4), (64, 32)] {
        same_bytes::<_, NoPow>(&AllGates { rows_log2: 8 }, config(lde, cap, 5, 0));
    }
    for rows_log2 in [9, 10, 11] {
        same_bytes::<_, NoPow>(&AllGates { rows_log2 }, config(2, 8, 90, 0));
    }
}

#[test]
fn proof_of_work_takes_the_lowest_nonce() {
    // So few bits that the library searches in order as well.
    for bits in [1, 5, 12] {
        same_bytes::<_, Blake2s256>(&AllGates { rows_log2: 8 }, config(2, 4, 10, bits));
    }
}

/// Gates over columns of their own beside general ones, with lookups whose table id is a constant or a variable.
#[derive(Clone, Copy, Debug)]
struct Specialized<const ID_IS_VARIABLE: bool>;

impl<const ID_IS_VARIABLE: bool> CircuitBuilder<F> for Specialized<ID_IS_VARIABLE> {
    fn geometry() -> CSGeometry {
        CSGeometry {
            num_columns_under_copy_permutation: 48,
            num_witness_columns: 82,
            num_constant_columns: 4,
            max_allowed_constraint_degree: 8,
        }
    }

    fn lookup_parameters() -> LookupParameters {
        match ID_IS_VARIABLE {
            true => LookupParameters::UseSpecializedColumnsWithTableIdAsVariable {
                width: 4,
                num_repetitions: 3,
                share_table_id: false,
            },
            false => LookupParameters::UseSpecializedColumnsWithTableIdAsConstant {
                width: 4,
                num_repetitions: 5,
                share_table_id: true,
            },
        }
    }

    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        let builder = builder.allow_lookup(Self::lookup_parameters());
        let builder = BooleanConstraintGate::configure_builder(builder, own(2));
        let builder = ConditionalSwapGate::<4>::configure_builder(builder, own(1));
        let builder = ZeroCheckGate::configure_builder(builder, GENERAL, true);
        let builder = DotProductGate::<4>::configure_builder(builder, own(2));
        let builder = FmaGateInBaseFieldWithoutConstant::configure_builder(builder, own(3));
        let builder = ExtFma::configure_builder(builder, own(2));
        let builder = UIntXAddGate::<32>::configure_builder(builder, own(1));
        let builder = ConstantsAllocatorGate::configure_builder(builder, GENERAL);
        let builder = ParallelSelectionGate::<4>::configure_builder(builder, GENERAL);
        let builder = RoundFunction::configure_builder(builder, GENERAL);
        let builder = PublicInputGate::configure_builder(builder, GENERAL);
        NopGate::configure_builder(builder, GENERAL)
    }
}

impl<const ID_IS_VARIABLE: bool> SetCircuit for Specialized<ID_IS_VARIABLE> {
    fn trace_len(&self) -> usize {
        1 << 13
    }

    fn max_variables(&self) -> usize {
        1 << 15
    }

    fn add_tables<CS: ConstraintSystem<F>>(&self, cs: &mut CS) {
        cs.add_lookup_table::<TriXor4Table, 4>(create_tri_xor_table());
        cs.add_lookup_table::<Split4BitChunkTable<1>, 4>(create_4bit_chunk_split_table::<F, 1>());
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        let zero = ConstantsAllocatorGate::<F>::allocate_constant(cs, F::ZERO);
        let xor = cs.get_table_id_for_marker::<TriXor4Table>().unwrap();
        let split = cs.get_table_id_for_marker::<Split4BitChunkTable<1>>().unwrap();
        let flags = [true, false].map(|bit| BooleanConstraintGate::alloc_boolean_from_witness(cs, bit));
        let [mut nibble, b, c] = allocs::<_, 3>(cs, 5);
        let mut x = alloc(cs, 99);
        for round in 0..200usize {
            [nibble] = cs.perform_lookup::<3, 1>(xor, &[nibble, b, c]);
            let _: [Variable; 3] = cs.perform_lookup::<1, 3>(split, &[nibble]);
            let flag = flags[round % 2];
            let (left, right) =
                ConditionalSwapGate::<4>::conditionally_swap(cs, &[x, b, c, zero], &[b, x, x, c], flag);
            x = DotProductGate::<4>::compute_dot_product(cs, std::array::from_fn(|i| (left[i], right[i])));
            x = FmaGateInBaseFieldWithoutConstant::compute_fma(cs, f(3), (x, b), f(2), c);
            let pair = ExtFma::compute_fma_in_extension(cs, ext(2, 1), ([x, b], [c, x]), ext(1, 3), [b, c]);
            let word = alloc(cs, 0xffff_ff00 + round as u64);
            let _ = UIntXAddGate::<32>::perform_addition(cs, word, nibble, flag);
            x = ParallelSelectionGate::<4>::select(cs, &[pair[0], x, b, c], &[pair[1], x, c, b], flag)[0];
            let is_zero = ZeroCheckGate::check_if_zero(cs, if round % 7 == 0 { zero } else { x });
            if round % 20 == 0 {
                x = RoundFunction::compute_round_function(
                    cs,
                    [x, is_zero, b, c, zero, x, x, b, c, zero, zero, nibble],
                )[1];
            }
        }
        PublicInputGate::new(x).add_to_cs(cs);
        NopGate::new().add_to_cs(cs);
    }
}

#[test]
fn specialized_columns_and_lookups_by_a_constant_table_id() {
    for (lde, queries) in [(2, 20), (8, 6)] {
        same_bytes::<_, NoPow>(&Specialized::<false>, config(lde, 16, queries, 0));
    }
}

#[test]
fn specialized_columns_and_lookups_by_a_variable_table_id() {
    same_bytes::<_, NoPow>(&Specialized::<true>, config(4, 8, 10, 0));
}

/// A circuit of random wiring over the gates of [`AllGates`].
#[derive(Clone, Copy, Debug)]
struct Random {
    seed: u64,
}

impl CircuitBuilder<F> for Random {
    fn geometry() -> CSGeometry {
        AllGates::geometry()
    }

    fn lookup_parameters() -> LookupParameters {
        LookupParameters::NoLookup
    }

    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        AllGates::configure_builder(builder)
    }
}

impl SetCircuit for Random {
    fn trace_len(&self) -> usize {
        1 << 8
    }

    fn max_variables(&self) -> usize {
        1 << 15
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut pool = vec![use_all(cs)];
        for _ in 0..rng.gen_range(1..20) {
            let value = rng.gen::<u32>().into();
            pool.push(alloc(cs, value));
        }
        let flag = BooleanConstraintGate::alloc_boolean_from_witness(cs, rng.gen());
        for _ in 0..rng.gen_range(0..60) {
            let kind = rng.gen_range(0..9);
            let constants: [F; 4] = std::array::from_fn(|_| f(rng.gen_range(0..3)));
            let [a, b, c, d]: [Variable; 4] = std::array::from_fn(|_| pool[rng.gen_range(0..pool.len())]);
            match kind {
                0 => pool.push(FmaGateInBaseFieldWithoutConstant::compute_fma(
                    cs,
                    constants[0],
                    (a, b),
                    constants[1],
                    c,
                )),
                1 => {
                    let [p, q] = [ext(1, 2), ext(0, 1)];
                    pool.extend(ExtFma::compute_fma_in_extension(cs, p, ([a, b], [c, d]), q, [d, a]));
                }
                2 => pool.push(SelectionGate::select(cs, a, b, flag)),
                3 => {
                    pool.push(DotProductGate::<4>::compute_dot_product(cs, [(a, b), (b, c), (c, d), (d, a)]))
                }
                4 => pool.push(ReductionGate::<F, 4>::reduce_terms(cs, constants, [a, b, c, d])),
                5 => pool.push(SimpleNonlinearityGate::<F, 7>::apply_nonlinearity(cs, a, constants[0])),
                6 => pool.extend(Matrix::compute_multiplication(cs, [a, b, c, d, a, a, b, b, c, c, d, d])),
                7 => pool.push(ZeroCheckGate::check_if_zero(cs, a)),
                _ => pool
                    .extend(RoundFunction::compute_round_function(cs, [a, b, c, d, d, c, b, a, a, b, c, d])),
            }
        }
        for _ in 0..rng.gen_range(1..5) {
            let input = pool[rng.gen_range(0..pool.len())];
            PublicInputGate::new(input).add_to_cs(cs);
        }
        NopGate::new().add_to_cs(cs);
    }
}

#[test]
fn random_circuits_and_witnesses_that_do_not_satisfy_them() {
    let count = std::env::var("INGOT_RANDOM_CIRCUITS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    for seed in 0..count {
        let mut rng = ChaCha8Rng::seed_from_u64(1000 + seed);
        let lde = 1 << rng.gen_range(1..4);
        let config = config(lde, 1 << rng.gen_range(0..5), rng.gen_range(1..12), 0);
        let circuit = Random { seed };
        same_bytes::<_, NoPow>(&circuit, config.clone());
        // Any value that stands in a copied column, changed.
        let mut made = support::make(&circuit, config);
        let placed: Vec<u32> = (made.setup.variables_hint.maps.iter().flatten())
            .filter(|v| !v.is_placeholder())
            .map(|v| v.as_variable_index())
            .collect();
        for _ in 0..3 {
            let value = placed[rng.gen_range(0..placed.len())] as usize;
            let honest = made.witness.all_values[value];
            made.witness.all_values[value].add_assign(&f(rng.gen_range(1..u32::MAX.into())));
            match support::ours::<Random>(&made, ingot_field::Level::host()) {
                Err(ProverError::Unsatisfied { .. }) => {}
                Err(other) => panic!("seed {seed}, value {value}: {other}"),
                Ok(proof) => {
                    assert!(!support::verifies::<Random, NoPow>(&made, &proof), "seed {seed}, value {value}");
                }
            }
            made.witness.all_values[value] = honest;
        }
    }
}

#[test]
fn what_neither_prover_can_do_is_said() {
    let mut made = support::make(&AllGates { rows_log2: 8 }, config(8, 4, 6, 0));
    made.config.merkle_tree_cap_size = 3;
    assert!(matches!(
        support::ours::<AllGates>(&made, ingot_field::Level::Base),
        Err(ProverError::Unsupported { .. })
    ));
    let mut made = support::make(&AllGates { rows_log2: 8 }, config(8, 4, 6, 0));
    made.config.fri_lde_factor = 4;
    let error = support::ours::<AllGates>(&made, ingot_field::Level::Base).unwrap_err();
    assert!(matches!(error, ProverError::Setup { part: "tree leaves", .. }), "{error}");
    let mut made = support::make(&Specialized::<false>, config(8, 4, 6, 0));
    made.witness.multiplicities.pop();
    let error = support::ours::<Specialized<false>>(&made, ingot_field::Level::Base).unwrap_err();
    assert!(matches!(error, ProverError::Witness { part: "multiplicities", .. }), "{error}");
}

//! Keys and proofs for the recursion tests, over toy basic circuits and with few queries at a low rate: what is tested is
//! the constraints, not the soundness error.
#![allow(dead_code)]

pub mod claim;

use boojum::{
    cs::{
        cs_builder::{CsBuilder, CsBuilderImpl},
        gates::{
            ConstantsAllocatorGate, FmaGateInBaseFieldWithoutConstant, FmaGateInExtensionWithoutConstant,
            NopGate, PublicInputGate,
        },
        implementations::pow::NoPow,
        traits::{circuit::CircuitBuilder, cs::ConstraintSystem, gate::GatePlacementStrategy},
        CSGeometry, GateConfigurationHolder, LookupParameters, StaticToolboxHolder,
    },
    field::{
        traits::field_like::{PrimeFieldLike, TrivialContext},
        ExtensionField, Field, U64Representable,
    },
    gadgets::num::Num,
};
use ingot_circuit_set::{
    empty_assembly,
    field::{Digest, Ext, Packed, Proof, ProofConfig, SetupLde, Transcript, TreeHasher, Worker, F},
    setup_key, verifier, witness_vector, SetCircuit, SetupKey,
};
use ingot_ledger::{
    basic::closed_form::{reserve_public_input, set_public_input},
    gadgets::{
        hash::{constant, hash},
        logic,
    },
    recursion::{
        assert_identical, BatchRecursion, LeafCircuit, LeafParameters, NodeCircuit, RecursionGates,
        RecursionKeys, VerifiedCircuit, TRACE_LEN,
    },
    testing::Checker,
};

/// Four queries at rate one half.
pub fn config() -> ProofConfig {
    ProofConfig {
        fri_lde_factor: 2,
        merkle_tree_cap_size: 16,
        fri_folding_schedule: None,
        security_level: 4,
        pow_bits: 0,
    }
}

pub fn f(value: u64) -> F {
    F::from_u64_unchecked(value)
}

pub fn digest(value: u64) -> Digest {
    [f(value), f(value + 1), f(value + 2), f(value + 3)]
}

/// Adds one to an element.
pub fn bump(x: &mut F) {
    Field::add_assign(x, &F::ONE);
}

/// A basic circuit that proves any public input. Kinds differ in a constant, so in their keys alone.
pub struct Toy<const KIND: u64> {
    pub public_input: Digest,
}

impl<const KIND: u64> CircuitBuilder<F> for Toy<KIND> {
    fn geometry() -> CSGeometry {
        CSGeometry {
            num_columns_under_copy_permutation: 8,
            num_witness_columns: 0,
            num_constant_columns: 4,
            max_allowed_constraint_degree: 4,
        }
    }

    fn lookup_parameters() -> LookupParameters {
        LookupParameters::NoLookup
    }

    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        let general = GatePlacementStrategy::UseGeneralPurposeColumns;
        let builder = ConstantsAllocatorGate::configure_builder(builder, general);
        let builder = FmaGateInBaseFieldWithoutConstant::configure_builder(builder, general);
        let builder = PublicInputGate::configure_builder(builder, general);
        NopGate::configure_builder(builder, general)
    }
}

impl<const KIND: u64> SetCircuit for Toy<KIND> {
    fn trace_len(&self) -> usize {
        1 << 10
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        reserve_public_input(cs);
        let kind = constant(cs, KIND);
        let same = logic::allocate(cs, f(KIND));
        logic::enforce_equal(cs, &kind, &same);
        // Fills the circuit up to its size, which shrinks without witness columns.
        let mut x = kind;
        for _ in 0..1000 {
            x = x.mul(cs, &kind);
        }
        let public_input = logic::allocate_all(cs, self.public_input);
        set_public_input(cs, &public_input);
    }
}

/// A circuit's key, and proofs with it.
pub struct Prover {
    pub key: SetupKey,
    worker: Worker,
}

impl Prover {
    pub fn new<C: SetCircuit>(circuit: &C) -> Self {
        let worker = Worker::new_with_num_threads(2);
        Self { key: setup_key(circuit, &config(), &worker).unwrap(), worker }
    }

    pub fn cap(&self) -> Vec<Digest> {
        self.key.vk.setup_merkle_tree_cap.clone()
    }

    pub fn verified(&self) -> VerifiedCircuit {
        VerifiedCircuit::new(&self.key.vk.fixed_parameters, &config()).unwrap()
    }

    /// Setup polynomials on as many cosets as the quotient needs, which are more than the proof's.
    fn lde(&self) -> SetupLde {
        let base = &self.key.base;
        let parameters = &self.key.vk.fixed_parameters;
        SetupLde::from_base_trace(
            base.copy_permutation_polys.clone(),
            base.constant_columns.clone(),
            base.lookup_tables_columns.clone(),
            base.table_ids_column_idxes.clone(),
            parameters.fri_lde_factor.max(parameters.quotient_degree),
            &self.worker,
            &mut <Packed as PrimeFieldLike>::Context::placeholder(),
        )
    }

    pub fn prove<C: SetCircuit>(&self, circuit: &C) -> Proof {
        let key = &self.key;
        let witness = witness_vector(circuit, &key.hint).unwrap();
        let proof = empty_assembly(circuit, &key.hint)
            .prove_from_witness_vec_and_precomputations::<Ext, Transcript, TreeHasher, NoPow>(
                &witness,
                config(),
                &key.base,
                &self.lde(),
                &key.tree,
                &key.vk,
                &key.variables_hint,
                &key.witness_hint,
                (),
                &self.worker,
            );
        assert!(verifier::<C>().verify::<TreeHasher, Transcript, NoPow>((), &key.vk, &proof));
        proof
    }
}

/// Keys of the toy basic circuits: (kind 1, kind 2, kind 3).
pub fn basic_keys() -> [Prover; 3] {
    let public_input = digest(0);
    [
        Prover::new(&Toy::<1> { public_input }),
        Prover::new(&Toy::<2> { public_input }),
        Prover::new(&Toy::<3> { public_input }),
    ]
}

/// Keys of everything up to the node, over the toy basic circuits.
pub struct Keys {
    pub basic: [Prover; 3],
    pub leaf: [Prover; 3],
    pub node: Prover,
}

impl Keys {
    pub fn new() -> Self {
        let basic = basic_keys();
        let leaf = [
            Prover::new(&LeafCircuit::<Toy<1>>::for_setup(1, basic[0].verified())),
            Prover::new(&LeafCircuit::<Toy<2>>::for_setup(2, basic[1].verified())),
            Prover::new(&LeafCircuit::<Toy<3>>::for_setup(3, basic[2].verified())),
        ];
        let node = Prover::new(&NodeCircuit::for_setup(leaf[0].verified()));
        let parameters = |p: &'static str, prover: &Prover| (p, prover.key.vk.fixed_parameters.clone());
        let all = [
            parameters("leaf 1", &leaf[0]),
            parameters("leaf 2", &leaf[1]),
            parameters("leaf 3", &leaf[2]),
            parameters("node", &node),
        ];
        assert_identical(&all.each_ref().map(|(name, p)| (*name, p))).unwrap();
        Self { basic, leaf, node }
    }

    pub fn recursion_keys(&self) -> RecursionKeys {
        let commitment = |p: &Prover| ingot_ledger::recursion::vk_commitment(&p.cap());
        let parameters = |i: usize| LeafParameters {
            circuit_type: f(i as u64 + 1),
            basic_vk_commitment: commitment(&self.basic[i]),
            leaf_vk_commitment: commitment(&self.leaf[i]),
        };
        RecursionKeys {
            leaf_parameters: [parameters(0), parameters(1), parameters(2)],
            node_vk_commitment: commitment(&self.node),
        }
    }

    /// Basic proofs of `requests` of `branch`.
    pub fn basic_proofs(&self, branch: u32, requests: &[Digest]) -> Vec<Proof> {
        let prove = |public_input: Digest| match branch {
            1 => self.basic[0].prove(&Toy::<1> { public_input }),
            2 => self.basic[1].prove(&Toy::<2> { public_input }),
            _ => self.basic[2].prove(&Toy::<3> { public_input }),
        };
        requests.iter().map(|r| prove(*r)).collect()
    }

    pub fn leaf_proof(&self, batch: &BatchRecursion, branch: u32, sequence: u32) -> Proof {
        let index = branch as usize - 1;
        let mut witness = batch.leaf(branch, sequence, self.basic[index].cap(), vec![]).unwrap();
        witness.proofs = self.basic_proofs(branch, &witness.requests);
        let expected = witness.input.public_input();
        let verified = self.basic[index].verified();
        let prover = &self.leaf[index];
        let proof = match branch {
            1 => prover.prove(&LeafCircuit::<Toy<1>>::new(1, verified, witness).unwrap()),
            2 => prover.prove(&LeafCircuit::<Toy<2>>::new(2, verified, witness).unwrap()),
            _ => prover.prove(&LeafCircuit::<Toy<3>>::new(3, verified, witness).unwrap()),
        };
        assert_eq!(proof.public_inputs, expected);
        proof
    }
}

/// A circuit that has the recursion circuits' gates, rows and places, and proves any public input: what a dishonest
/// prover would like to be taken for a leaf or a node.
#[derive(Clone, Copy)]
pub struct Impostor {
    pub public_input: Digest,
}

impl CircuitBuilder<F> for Impostor {
    fn geometry() -> CSGeometry {
        RecursionGates::geometry()
    }

    fn lookup_parameters() -> LookupParameters {
        RecursionGates::lookup_parameters()
    }

    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        RecursionGates::configure_builder(builder)
    }
}

impl SetCircuit for Impostor {
    fn trace_len(&self) -> usize {
        TRACE_LEN
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        reserve_public_input(cs);
        let public_input = logic::allocate_all(cs, self.public_input);
        set_public_input(cs, &public_input);
        // One of each gate, or setup refuses.
        let flag = logic::allocate_bool(cs, true);
        let other = hash(cs, 1, &public_input);
        let _ = logic::all_zero(cs, &public_input);
        let _ = logic::select(cs, flag, &public_input, &other);
        let _ = public_input[0].mask(cs, flag);
        let _ = Num::conditionally_swap_multiple(cs, flag, &public_input, &other);
        let _ = public_input[0].spread_into_bits::<CS, 64>(cs);
        let [a, b] = [public_input, other].map(|x| [x[0].get_variable(), x[1].get_variable()]);
        let one = ExtensionField { coeffs: [F::ONE, F::ZERO], _marker: std::marker::PhantomData };
        let _ =
            FmaGateInExtensionWithoutConstant::<F, Ext>::compute_fma_in_extension(cs, one, (a, b), one, a);
    }
}

/// A circuit's honest instance, against which dishonest ones are held.
pub struct Bench {
    checker: Checker,
}

impl Bench {
    pub fn new<C: SetCircuit>(honest: &C) -> Self {
        let mut checker = Checker::new(honest).unwrap();
        let (satisfied, _) = checker.check(honest).unwrap();
        assert!(satisfied, "the honest witness is refused");
        Self { checker }
    }

    pub fn accepts<C: SetCircuit>(&mut self, name: &str, circuit: &C) -> Vec<F> {
        let (satisfied, public_input) = self.checker.check(circuit).unwrap();
        assert!(satisfied, "{name}: refused");
        public_input
    }

    pub fn refuses<C: SetCircuit>(&mut self, name: &str, circuit: &C) {
        let (satisfied, _) = self.checker.check(circuit).unwrap();
        assert!(!satisfied, "{name}: accepted");
    }
}

//! From a circuit's variant to the code of its type: every call of the proof library on an Era circuit.

use circuit_definitions::{
    circuit_definitions::{
        base_layer::{self, ZkSyncBaseLayerCircuit as Base},
        recursion_layer::{
            leaf_layer::ZkSyncLeafLayerRecursiveCircuit, node_layer::ZkSyncNodeLayerRecursiveCircuit,
            recursion_tip::ZkSyncRecursionTipCircuit, scheduler::ZkSyncSchedulerCircuit,
            ZkSyncRecursiveLayerCircuit as Recursive,
        },
        ZkSyncUniformCircuitInstance,
    },
    ZkSyncDefaultRoundFunction,
};
use ingot_circuit_set::{
    empty_assembly,
    field::{Digest, FinalizationHint, NativeVerifier, ProofConfig, ProvingAssembly, WitnessVector, Worker},
    gate_set, setup_key, verifier, witness_vector, GateSet, SetCircuit, SetError, SetupKey,
};
use ingot_types::{AggregationRound, CircuitKey};

use crate::{wrap::Wrapped, EraCircuit};

/// What is done with a circuit once its type is known.
trait Visitor {
    type Output;
    fn visit<C: SetCircuit>(self, circuit: C) -> Self::Output;
}

/// What is done with a circuit's type.
trait TypeVisitor {
    type Output;
    fn visit<C: SetCircuit>(self) -> Self::Output;
}

/// Calls `visitor` with the circuit in its own type. Cloning a witness costs megabytes, not more.
fn visit<V: Visitor>(circuit: &EraCircuit, visitor: V) -> V::Output {
    match circuit {
        EraCircuit::Base(circuit) => visit_base(circuit, visitor),
        EraCircuit::Recursive(circuit) => visit_recursive(circuit, visitor),
    }
}

/// The base circuits: variant, id, type.
macro_rules! base_circuits {
    ($($variant:ident $id:literal $circuit:ident)*) => {
        fn visit_base<V: Visitor>(circuit: &Base, visitor: V) -> V::Output {
            match circuit {
                $(Base::$variant(inner) => visitor.visit(Wrapped(inner.clone())),)*
            }
        }

        fn visit_base_type<V: TypeVisitor>(id: u8, visitor: V) -> Option<V::Output> {
            match id {
                $($id => Some(visitor.visit::<Wrapped<base_layer::$circuit>>()),)*
                _ => None,
            }
        }

        /// The base circuit `id` without a witness, for `capacity` cycles.
        fn empty_base(id: u8, capacity: usize) -> Option<Base> {
            match id {
                $($id => Some(Base::$variant(ZkSyncUniformCircuitInstance::new(
                    None,
                    capacity,
                    ZkSyncDefaultRoundFunction::default(),
                    None,
                ))),)*
                _ => None,
            }
        }

        /// The public input that witness generation expects of a base circuit.
        pub(crate) fn expected_public_input(circuit: &Base) -> Option<Digest> {
            match circuit {
                $(Base::$variant(inner) => inner.expected_public_input,)*
            }
        }

        /// Ids of the base circuits, in ZKsync's order.
        pub const BASE_IDS: [u8; 20] = [$($id),*];
    };
}

base_circuits! {
    MainVM 1 VMMainCircuit
    CodeDecommittmentsSorter 2 CodeDecommittsSorterCircuit
    CodeDecommitter 3 CodeDecommitterCircuit
    LogDemuxer 4 LogDemuxerCircuit
    KeccakRoundFunction 5 Keccak256RoundFunctionCircuit
    Sha256RoundFunction 6 Sha256RoundFunctionCircuit
    ECRecover 7 ECRecoverFunctionCircuit
    RAMPermutation 8 RAMPermutationCircuit
    StorageSorter 9 StorageSorterCircuit
    StorageApplication 10 StorageApplicationCircuit
    EventsSorter 11 EventsSorterCircuit
    L1MessagesSorter 12 L1MessagesSorterCircuit
    L1MessagesHasher 13 L1MessagesHasherCircuit
    TransientStorageSorter 14 TransientStorageSorterCircuit
    Secp256r1Verify 15 Secp256r1VerifyCircuit
    Modexp 16 ModexpCircuit
    ECAdd 17 ECAddCircuit
    ECMul 18 ECMulCircuit
    ECPairing 19 ECPairingCircuit
    EIP4844Repack 255 EIP4844Circuit
}

/// The leaves are of one type, whichever base circuit they verify.
macro_rules! recursive_circuits {
    ($($leaf:ident)*) => {
        fn visit_recursive<V: Visitor>(circuit: &Recursive, visitor: V) -> V::Output {
            match circuit {
                Recursive::SchedulerCircuit(inner) => visitor.visit(Wrapped(inner.clone())),
                Recursive::NodeLayerCircuit(inner) => visitor.visit(Wrapped(inner.clone())),
                Recursive::RecursionTipCircuit(inner) => visitor.visit(Wrapped(inner.clone())),
                $(Recursive::$leaf(inner))|* => visitor.visit(Wrapped(inner.clone())),
            }
        }
    };
}

recursive_circuits! {
    LeafLayerCircuitForMainVM
    LeafLayerCircuitForCodeDecommittmentsSorter
    LeafLayerCircuitForCodeDecommitter
    LeafLayerCircuitForLogDemuxer
    LeafLayerCircuitForKeccakRoundFunction
    LeafLayerCircuitForSha256RoundFunction
    LeafLayerCircuitForECRecover
    LeafLayerCircuitForRAMPermutation
    LeafLayerCircuitForStorageSorter
    LeafLayerCircuitForStorageApplication
    LeafLayerCircuitForEventsSorter
    LeafLayerCircuitForL1MessagesSorter
    LeafLayerCircuitForL1MessagesHasher
    LeafLayerCircuitForTransientStorageSorter
    LeafLayerCircuitForSecp256r1Verify
    LeafLayerCircuitForEIP4844Repack
    LeafLayerCircuitForModexp
    LeafLayerCircuitForECAdd
    LeafLayerCircuitForECMul
    LeafLayerCircuitForECPairing
}

/// Calls `visitor` with the type of `key`'s circuits; `None` if there is no such circuit.
fn visit_type<V: TypeVisitor>(key: CircuitKey, visitor: V) -> Option<V::Output> {
    match (key.round, key.circuit_id.0) {
        (AggregationRound::Basic, id) => visit_base_type(id, visitor),
        (AggregationRound::Leaf, 3..=22) => Some(visitor.visit::<Wrapped<ZkSyncLeafLayerRecursiveCircuit>>()),
        (AggregationRound::Node, 2) => Some(visitor.visit::<Wrapped<ZkSyncNodeLayerRecursiveCircuit>>()),
        (AggregationRound::RecursionTip, 255) => Some(visitor.visit::<Wrapped<ZkSyncRecursionTipCircuit>>()),
        (AggregationRound::Scheduler, 1) => Some(visitor.visit::<Wrapped<ZkSyncSchedulerCircuit>>()),
        _ => None,
    }
}

struct Setup<'a>(&'a ProofConfig, &'a Worker);

impl Visitor for Setup<'_> {
    type Output = Result<SetupKey, SetError>;
    fn visit<C: SetCircuit>(self, circuit: C) -> Self::Output {
        setup_key(&circuit, self.0, self.1)
    }
}

struct Synthesis<'a>(&'a FinalizationHint);

impl Visitor for Synthesis<'_> {
    type Output = Result<WitnessVector, SetError>;
    fn visit<C: SetCircuit>(self, circuit: C) -> Self::Output {
        witness_vector(&circuit, self.0)
    }
}

struct Assembly<'a>(&'a FinalizationHint);

impl Visitor for Assembly<'_> {
    type Output = ProvingAssembly;
    fn visit<C: SetCircuit>(self, circuit: C) -> Self::Output {
        empty_assembly(&circuit, self.0)
    }
}

struct Gates;

impl TypeVisitor for Gates {
    type Output = Result<GateSet, SetError>;
    fn visit<C: SetCircuit>(self) -> Self::Output {
        gate_set::<C>()
    }
}

struct Verifier;

impl TypeVisitor for Verifier {
    type Output = NativeVerifier;
    fn visit<C: SetCircuit>(self) -> Self::Output {
        verifier::<C>()
    }
}

/// Base circuit `id` without a witness, for `capacity` cycles; `None` if there is no such circuit.
pub fn empty_base_circuit(id: u8, capacity: usize) -> Option<EraCircuit> {
    empty_base(id, capacity).map(EraCircuit::from)
}

/// The gates of `key`; `None` if there is no such circuit.
///
/// # Errors
/// [`SetError::Inconsistent`] if a gate cannot be recorded.
pub fn gates(key: CircuitKey) -> Option<Result<GateSet, SetError>> {
    visit_type(key, Gates)
}

/// The native verifier of `key`; `None` if there is no such circuit.
pub fn native_verifier(key: CircuitKey) -> Option<NativeVerifier> {
    visit_type(key, Verifier)
}

impl EraCircuit {
    /// Makes the setup key. The circuit's values are ignored.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] if the library made no finalization hint.
    pub fn setup_key(&self, config: &ProofConfig, worker: &Worker) -> Result<SetupKey, SetError> {
        visit(self, Setup(config, worker))
    }

    /// Synthesizes the circuit into its witness vector.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] if the library made no witness.
    ///
    /// # Panics
    /// If the circuit finds its own witness wrong: a defect, or damaged input.
    pub fn witness_vector(&self, hint: &FinalizationHint) -> Result<WitnessVector, SetError> {
        visit(self, Synthesis(hint))
    }

    /// The empty assembly that the proof library's own prover needs.
    pub fn empty_assembly(&self, hint: &FinalizationHint) -> ProvingAssembly {
        visit(self, Assembly(hint))
    }
}

//! From a circuit to its setup key, witness vector, assembly and verifier: the proof library's calls, in one place.

use std::alloc::Global;

use boojum::{
    config::{CSConfig, ProvingCSConfig, SetupCSConfig},
    cs::{
        cs_builder::new_builder,
        cs_builder_reference::CsReferenceImplementationBuilder,
        implementations::reference_cs::CSReferenceAssembly,
        traits::{
            circuit::{CircuitBuilder, CircuitBuilderProxy, ErasedBuilderForVerifier},
            cs::ConstraintSystem,
        },
    },
    dag::StCircuitResolver,
    field::{goldilocks::GoldilocksField, traits::field_like::PrimeFieldLikeVectorized},
};

use ingot_field::{bit_reverse, Columns, CosetTwiddles, Level, Tree};

use crate::{
    field::{
        Ext, FinalizationHint, NativeVerifier, Packed, ProofConfig, ProvingAssembly, SetupBase, SetupTree,
        Vk, WitnessVector, Worker, F,
    },
    SetError, SetupKey,
};

/// A circuit that can be synthesized: its gates ([`CircuitBuilder`]), its tables and its constraints.
pub trait SetCircuit: CircuitBuilder<F> + 'static {
    /// Number of rows, a power of two. Exact: the trace is padded to it.
    fn trace_len(&self) -> usize;

    /// An upper bound on the number of variables.
    fn max_variables(&self) -> usize {
        1 << 23
    }

    /// Adds the lookup tables.
    fn add_tables<CS: ConstraintSystem<F>>(&self, _cs: &mut CS) {}

    /// Adds the constraints, and in a proving configuration the values.
    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS);
}

/// Synthesizes `circuit` under configuration `CFG`, evaluating gates over `P`. Without a hint it also finalizes and
/// returns one.
///
/// # Panics
/// If the circuit does not fit its trace.
pub fn synthesize_with<C, CFG, P>(
    circuit: &C,
    hint: Option<&FinalizationHint>,
) -> (CSReferenceAssembly<F, P, CFG, Global>, Option<FinalizationHint>)
where
    C: SetCircuit,
    CFG: CSConfig,
    P: PrimeFieldLikeVectorized<Base = F>,
{
    let trace_len = hint.map_or(circuit.trace_len(), |h| h.final_trace_len);
    let builder =
        CsReferenceImplementationBuilder::<F, P, CFG, StCircuitResolver<F, CFG::ResolverConfig>>::new(
            C::geometry(),
            trace_len,
        );
    let builder = C::configure_builder(new_builder::<_, F>(builder));
    let mut cs = builder.build(circuit.max_variables());
    circuit.add_tables(&mut cs);
    circuit.synthesize(&mut cs);
    let made = match hint {
        Some(hint) => {
            cs.pad_and_shrink_using_hint(hint);
            None
        }
        None => Some(cs.pad_and_shrink().1),
    };
    (cs.into_assembly::<Global>(), made)
}

/// Makes the setup key of `circuit`, whose values are ignored.
///
/// # Errors
/// [`SetError::Inconsistent`] if the library made no finalization hint.
pub fn setup_key<C: SetCircuit>(
    circuit: &C,
    config: &ProofConfig,
    worker: &Worker,
) -> Result<SetupKey, SetError> {
    let (assembly, hint) = synthesize_with::<C, SetupCSConfig, Packed>(circuit, None);
    let hint = hint.ok_or_else(|| SetError::Inconsistent("setup made no finalization hint".into()))?;
    let (base, fixed_parameters, variables_hint, witness_hint) =
        assembly.get_light_setup(worker, config.fri_lde_factor, config.merkle_tree_cap_size);
    // The library would keep all extensions in memory, and make the base polynomials twice.
    drop(assembly);
    let tree = setup_tree(&base, config);
    let vk = Vk { fixed_parameters, setup_merkle_tree_cap: tree.get_cap() };
    Ok(SetupKey { vk, hint, base, tree, variables_hint, witness_hint })
}

/// The values of the setup polynomials in the order of their oracle: permutation polynomials, constants, lookup tables.
pub fn setup_polynomials(base: &SetupBase) -> impl Iterator<Item = &[F]> {
    (base.copy_permutation_polys.iter())
        .chain(&base.constant_columns)
        .chain(&base.lookup_tables_columns)
        .map(|polynomial| Packed::slice_into_base_slice(&polynomial.storage))
}

/// The coefficients of [`setup_polynomials`], which must have as many rows as each other, a power of two.
pub fn setup_columns(base: &SetupBase, level: Level) -> Columns {
    let rows_log2 = setup_polynomials(base).next().map_or(0, |p| p.len().trailing_zeros());
    let mut columns = Columns::zeros(rows_log2, setup_polynomials(base).count());
    for (index, polynomial) in setup_polynomials(base).enumerate() {
        let column = columns.column_mut(index);
        for (row, value) in polynomial.iter().enumerate() {
            column[bit_reverse(row, rows_log2)] = value.0;
        }
    }
    columns.interpolate(level, &CosetTwiddles::new(rows_log2, 1));
    columns
}

/// The tree over the setup polynomials.
fn setup_tree(base: &SetupBase, config: &ProofConfig) -> SetupTree {
    let level = Level::detect();
    let lde_log2 = config.fri_lde_factor.trailing_zeros();
    let columns = setup_columns(base, level);
    let tree = Tree::of_columns(level, &columns, lde_log2, config.merkle_tree_cap_size);
    let mut layers = tree
        .into_layers()
        .into_iter()
        .map(|layer| layer.into_iter().map(|d| d.map(GoldilocksField)).collect());
    SetupTree {
        cap_size: config.merkle_tree_cap_size,
        leaf_hashes: layers.next().unwrap_or_default(),
        node_hashes_enumerated_from_leafs: layers.collect(),
    }
}

/// Synthesizes `circuit` into its witness vector.
///
/// # Errors
/// [`SetError::Inconsistent`] if the library made no witness.
pub fn witness_vector<C: SetCircuit>(
    circuit: &C,
    hint: &FinalizationHint,
) -> Result<WitnessVector, SetError> {
    let (mut assembly, _) = synthesize_with::<C, ProvingCSConfig, Packed>(circuit, Some(hint));
    assembly.witness.take().ok_or_else(|| SetError::Inconsistent("synthesis made no witness".into()))
}

/// The empty assembly a prover needs: gates and tables, no rows.
pub fn empty_assembly<C: SetCircuit>(circuit: &C, hint: &FinalizationHint) -> ProvingAssembly {
    let builder = CsReferenceImplementationBuilder::<
        F,
        Packed,
        ProvingCSConfig,
        StCircuitResolver<F, <ProvingCSConfig as CSConfig>::ResolverConfig>,
    >::new(C::geometry(), hint.final_trace_len);
    let builder = C::configure_builder(new_builder::<_, F>(builder));
    let mut cs = builder.build(1usize << 10);
    circuit.add_tables(&mut cs);
    cs.into_assembly_for_repeated_proving::<Global>(hint)
}

/// The native verifier for circuits with the gates of `C`.
pub fn verifier<C: CircuitBuilder<F> + 'static>() -> NativeVerifier {
    let builder: Box<dyn ErasedBuilderForVerifier<F, Ext>> =
        CircuitBuilderProxy::<F, C>::dyn_verifier_builder::<Ext>();
    builder.create_verifier()
}

//! The published circuits as [`SetCircuit`]s: foreign types behind types of ours.

use boojum::cs::{
    cs_builder::{CsBuilder, CsBuilderImpl},
    traits::{circuit::CircuitBuilder, cs::ConstraintSystem},
    CSGeometry, GateConfigurationHolder, LookupParameters, StaticToolboxHolder,
};
use circuit_definitions::{
    circuit_definitions::{
        recursion_layer::{
            leaf_layer::ZkSyncLeafLayerRecursiveCircuit, node_layer::ZkSyncNodeLayerRecursiveCircuit,
            recursion_tip::ZkSyncRecursionTipCircuit, scheduler::ZkSyncSchedulerCircuit,
        },
        ZkSyncUniformCircuitInstance, ZkSyncUniformSynthesisFunction,
    },
    ZkSyncDefaultRoundFunction,
};
use ingot_circuit_set::{field::F, SetCircuit};

/// A circuit with its witness, as the proof library calls build it.
pub(crate) struct Wrapped<T>(pub T);

impl<S: ZkSyncUniformSynthesisFunction<F>> CircuitBuilder<F> for Wrapped<ZkSyncUniformCircuitInstance<F, S>> {
    fn geometry() -> CSGeometry {
        S::geometry()
    }

    fn lookup_parameters() -> LookupParameters {
        S::lookup_parameters()
    }

    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        S::configure_builder(builder)
    }
}

impl<S: ZkSyncUniformSynthesisFunction<F>> SetCircuit for Wrapped<ZkSyncUniformCircuitInstance<F, S>> {
    fn trace_len(&self) -> usize {
        S::size_hint().0.unwrap_or(crate::TRACE_LEN)
    }

    fn max_variables(&self) -> usize {
        S::size_hint().1.unwrap_or(crate::MAX_VARIABLES)
    }

    fn add_tables<CS: ConstraintSystem<F>>(&self, cs: &mut CS) {
        S::add_tables(cs);
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        self.0.clone().synthesize_proxy(cs);
    }
}

/// The recursive circuits have the same methods, but no trait in common.
macro_rules! recursive {
    ($($circuit:ty),*) => {$(
        impl CircuitBuilder<F> for Wrapped<$circuit> {
            fn geometry() -> CSGeometry {
                <$circuit as CircuitBuilder<F>>::geometry()
            }

            fn lookup_parameters() -> LookupParameters {
                <$circuit as CircuitBuilder<F>>::lookup_parameters()
            }

            fn configure_builder<
                T: CsBuilderImpl<F, T>,
                GC: GateConfigurationHolder<F>,
                TB: StaticToolboxHolder,
            >(
                builder: CsBuilder<T, F, GC, TB>,
            ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
                <$circuit as CircuitBuilder<F>>::configure_builder(builder)
            }
        }

        impl SetCircuit for Wrapped<$circuit> {
            fn trace_len(&self) -> usize {
                self.0.size_hint().0.unwrap_or(crate::TRACE_LEN)
            }

            fn max_variables(&self) -> usize {
                self.0.size_hint().1.unwrap_or(crate::MAX_VARIABLES)
            }

            fn add_tables<CS: ConstraintSystem<F>>(&self, cs: &mut CS) {
                self.0.add_tables(cs);
            }

            fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
                let _ = self.0.clone().synthesize_into_cs(cs, &ZkSyncDefaultRoundFunction::default());
            }
        }
    )*};
}

recursive!(
    ZkSyncLeafLayerRecursiveCircuit,
    ZkSyncNodeLayerRecursiveCircuit,
    ZkSyncRecursionTipCircuit,
    ZkSyncSchedulerCircuit
);
